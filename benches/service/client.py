"""A client of rkt's api-service with grpcio. For every input line it makes one query and prints its duration in nanoseconds and
the number of images."""

import sys
import time

import grpc

folder, url = sys.argv[1:]
sys.path.append(folder)
messages, services = grpc.protos_and_services("rkt.proto")
target = url.removeprefix("http://")
unlimited = [("grpc.max_receive_message_length", -1)]

for _ in sys.stdin:
    began = time.monotonic_ns()
    with grpc.insecure_channel(target, unlimited) as channel:
        answer = services.PublicAPIStub(channel).ListImages(messages.ListImagesRequest())
        images = len(answer.images)
    print(time.monotonic_ns() - began, images, flush=True)
    del answer
