// sync: writes everything out.
#include <unistd.h>
int main(void) { sync(); return 0; }
