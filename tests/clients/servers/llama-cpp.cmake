# Read by CMake within llama.cpp: what its programs share is half of the work, and none of them is built.
set(LLAMA_BUILD_COMMON OFF)
