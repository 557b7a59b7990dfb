/* The cases of this kernel, on Debian's. */
import '../netns/plane-mix.test.ts';
