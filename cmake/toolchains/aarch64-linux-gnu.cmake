# Building for 64-bit ARM on another Linux with Debian's cross compiler: cmake -DCMAKE_TOOLCHAIN_FILE=…, and FATHOM_TOOLCHAIN=…
# for scripts/setup-engine.sh. FATHOM_SYSROOT names a folder with the unpacked arm64 packages, the C library's included; without
# it they are looked for where Debian's multiarch installs them. Tests run under qemu where it is installed.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(target aarch64-linux-gnu)
set(CMAKE_C_COMPILER ${target}-gcc)
set(CMAKE_CXX_COMPILER ${target}-g++)

set(sysroot $ENV{FATHOM_SYSROOT})
set(CMAKE_LIBRARY_ARCHITECTURE ${target})
set(CMAKE_FIND_ROOT_PATH ${sysroot} /usr/${target})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY BOTH)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE BOTH)
set(ENV{PKG_CONFIG_LIBDIR} ${sysroot}/usr/lib/${target}/pkgconfig:${sysroot}/usr/share/pkgconfig)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${sysroot})

set(libraries /usr/${target})
if(sysroot)
    set(libraries ${sysroot})
    # What the libraries need in turn.
    foreach(kind EXE SHARED)
        set(CMAKE_${kind}_LINKER_FLAGS_INIT -Wl,-rpath-link,${sysroot}/usr/lib/${target}:${sysroot}/lib/${target})
    endforeach()
endif()
find_program(FATHOM_QEMU NAMES qemu-aarch64-static qemu-aarch64)
if(FATHOM_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR ${FATHOM_QEMU};-L;${libraries})
endif()
