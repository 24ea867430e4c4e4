// The program in the tests' images: it waits until it is killed.

#include <unistd.h>

int main(void)
{
	for (;;)
		pause();
}
