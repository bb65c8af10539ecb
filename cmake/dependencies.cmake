# Everything that is not ours, as two interface targets.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
pkg_check_modules(libraries REQUIRED IMPORTED_TARGET jansson sqlite3 libzstd libxxhash libmicrohttpd)

add_library(fathom_dependencies INTERFACE)
target_link_libraries(fathom_dependencies INTERFACE PkgConfig::libraries ZLIB::ZLIB)

# The engine: the one whose folder is named, else a system libllama of a version that the tests ran on. Beside the latter the
# folder may hold the renderer of chat templates alone (scripts/setup-engine.sh).
set(FATHOM_ENGINE_VERSIONS 0.5.0)
set(renderer ${FATHOM_ENGINE_DIR}/lib/libfathom_jinja.a)
set(use_system_llama FALSE) # what pkg-config found outlives the run in the cache, also where a folder is named later
if(NOT EXISTS ${FATHOM_ENGINE_DIR}/include/llama.h)
    pkg_check_modules(system_llama QUIET IMPORTED_TARGET llama)
    # Graphs are computed by ggml's own processor backend too, which llama.pc does not name.
    find_library(GGML_CPU_LIBRARY ggml-cpu HINTS ${system_llama_LIBDIR} ${system_llama_LIBRARY_DIRS} NO_DEFAULT_PATH)
    if(system_llama_FOUND AND system_llama_VERSION IN_LIST FATHOM_ENGINE_VERSIONS AND NOT GGML_CPU_LIBRARY)
        message(STATUS "system libllama ${system_llama_VERSION} has no libggml-cpu to link with: not used")
    elseif(system_llama_FOUND AND system_llama_VERSION IN_LIST FATHOM_ENGINE_VERSIONS)
        set(use_system_llama TRUE)
    elseif(system_llama_FOUND)
        message(STATUS "system libllama ${system_llama_VERSION} is not one of ${FATHOM_ENGINE_VERSIONS}: not used")
    endif()
endif()
if(use_system_llama)
    if(FATHOM_ENGINE_DIR AND EXISTS ${renderer})
        message(STATUS "engine: the system's libllama ${system_llama_VERSION}")
        target_include_directories(fathom_dependencies SYSTEM INTERFACE ${FATHOM_ENGINE_DIR}/include)
        target_link_libraries(fathom_dependencies INTERFACE ${renderer})
        target_compile_definitions(fathom_dependencies INTERFACE FATHOM_HAVE_JINJA)
    else()
        message(STATUS "engine: the system's libllama ${system_llama_VERSION}, without a renderer for chat templates")
    endif()
    target_link_libraries(fathom_dependencies INTERFACE PkgConfig::system_llama ${GGML_CPU_LIBRARY} Threads::Threads m ${CMAKE_DL_LIBS})
    # Where it lies outside the linker's own folders, what is installed still finds it.
    set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
elseif(EXISTS ${FATHOM_ENGINE_DIR}/include/llama.h)
    target_include_directories(fathom_dependencies SYSTEM INTERFACE ${FATHOM_ENGINE_DIR}/include)
    set(FATHOM_ENGINE_LIBRARIES "" CACHE STRING "what a GPU build of the engine links besides, such as cudart;cublas;cuda")
    file(GLOB engine_archives ${FATHOM_ENGINE_DIR}/lib/*.a)
    if(APPLE)
        target_link_libraries(fathom_dependencies INTERFACE ${engine_archives} c++ "-framework Accelerate" "-framework Foundation" "-framework Metal"
            "-framework MetalKit")
    else()
        # One static archive may need any other: the linker looks until nothing is missing.
        target_link_libraries(fathom_dependencies INTERFACE -Wl,--start-group ${engine_archives} -Wl,--end-group stdc++ ${FATHOM_ENGINE_LIBRARIES})
    endif()
    target_link_libraries(fathom_dependencies INTERFACE Threads::Threads m ${CMAKE_DL_LIBS})
    target_compile_definitions(fathom_dependencies INTERFACE FATHOM_HAVE_JINJA FATHOM_HAVE_GGML_INTERNAL)
else()
    message(FATAL_ERROR "no engine: run scripts/setup-engine.sh and pass its last line as -DFATHOM_ENGINE_DIR=…, or simply `make`")
endif()

# oneDNN, where it is installed, multiplies matrices; without it ggml does.
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.h)
find_library(DNNL_LIBRARY dnnl)
if(DNNL_INCLUDE_DIR AND DNNL_LIBRARY)
    target_include_directories(fathom_dependencies SYSTEM INTERFACE ${DNNL_INCLUDE_DIR})
    target_link_libraries(fathom_dependencies INTERFACE ${DNNL_LIBRARY})
    target_compile_definitions(fathom_dependencies INTERFACE FATHOM_HAVE_DNNL)
endif()

find_path(LINEAR_INCLUDE_DIR linear.h REQUIRED)
find_library(LINEAR_LIBRARY linear REQUIRED)
target_include_directories(fathom_dependencies SYSTEM INTERFACE ${LINEAR_INCLUDE_DIR})
target_link_libraries(fathom_dependencies INTERFACE ${LINEAR_LIBRARY})
