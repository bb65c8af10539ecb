# Tests, one executable a *_test.c, and the fuzz targets. A room's tests are linked with the rooms below it only.
find_package(PkgConfig REQUIRED)
pkg_check_modules(cmocka IMPORTED_TARGET cmocka)
if(NOT cmocka_FOUND)
    message(STATUS "cmocka was not found: no tests are built (scripts/setup-system.sh test installs it)")
    return()
endif()
enable_testing()

# A second build, with sanitizers, puts its tests under a name of its own so that both can be run as one.
set(FATHOM_TEST_PREFIX "" CACHE STRING "put before the tests' names")
set(FATHOM_MORE_TESTS "" CACHE PATH "another build whose tests ctest runs too")
if(FATHOM_MORE_TESTS)
    file(WRITE ${CMAKE_BINARY_DIR}/more_tests.cmake
        "if(EXISTS \"${FATHOM_MORE_TESTS}/CTestTestfile.cmake\")\n  include(\"${FATHOM_MORE_TESTS}/CTestTestfile.cmake\")\nendif()\n")
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_BINARY_DIR}/more_tests.cmake)
endif()

# Tests write inside the build only.
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/tmp)
# abort_on_error lets the fuzz driver save the input that made a sanitizer speak.
set(test_environment TMPDIR=${CMAKE_BINARY_DIR}/tmp ASAN_OPTIONS=abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
    TSAN_OPTIONS=halt_on_error=1)
function(fathom_add_test name timeout)
    add_test(NAME ${FATHOM_TEST_PREFIX}${name} COMMAND ${ARGN} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${FATHOM_TEST_PREFIX}${name} PROPERTIES TIMEOUT ${timeout} ENVIRONMENT "${test_environment}")
endfunction()

# What tests of several rooms share, such as tiny models.
add_library(fathom_test_support STATIC)
file(GLOB support_sources CONFIGURE_DEPENDS tests/support/*.c)
target_sources(fathom_test_support PRIVATE ${support_sources})
target_include_directories(fathom_test_support PUBLIC include src ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(fathom_test_support PUBLIC lib_base fathom_flags fathom_dependencies PkgConfig::cmocka)

add_custom_target(unit_tests)
function(fathom_add_unit_test target name source)
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE ${ARGN} fathom_test_support fathom_flags fathom_dependencies)
    fathom_add_test(${name} 300 ${target})
    # The real models lie in the user's own cache; nothing else is to be found or left there.
    if(NOT name MATCHES "(_real|chat_reference)_test$")
        set_property(TEST ${FATHOM_TEST_PREFIX}${name} APPEND PROPERTY ENVIRONMENT
            XDG_CACHE_HOME=${CMAKE_BINARY_DIR}/tmp/cache XDG_DATA_HOME=${CMAKE_BINARY_DIR}/tmp/data)
    endif()
    add_dependencies(unit_tests ${target})
endfunction()

foreach(room ${rooms})
    file(GLOB_RECURSE tests CONFIGURE_DEPENDS src/${room}/*_test.c)
    foreach(test ${tests})
        get_filename_component(name ${test} NAME_WE)
        fathom_add_unit_test(${room}_${name} ${room}/${name} ${test} ${below_${room}})
    endforeach()
endforeach()

# The command's own parts, without main.
set(cli_parts ${cli_sources})
list(FILTER cli_parts EXCLUDE REGEX "/main\\.c$")
file(GLOB tests CONFIGURE_DEPENDS src/cli/*_test.c)
if(tests)
    add_library(lib_cli STATIC ${cli_parts})
    target_link_libraries(lib_cli PUBLIC ${below} fathom_flags fathom_dependencies)
endif()
foreach(test ${tests})
    get_filename_component(name ${test} NAME_WE)
    fathom_add_unit_test(cli_${name} cli/${name} ${test} lib_cli)
endforeach()

# Fuzz targets: every file of fuzz/targets is one parser's.
set(fuzz_runs 1000)
set(fuzz_runs_catalogue 100) # writes a whole catalogue each time
set(fuzz_runs_formats 200) # most inputs end as a file on the disk
file(GLOB targets CONFIGURE_DEPENDS fuzz/targets/*.c)
foreach(target ${targets})
    get_filename_component(name ${target} NAME_WE)
    add_executable(fuzz_${name} ${target})
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(fuzz_${name} PRIVATE ${below} fathom_flags fathom_dependencies)
    if(FATHOM_LIBFUZZER)
        target_compile_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    else()
        target_sources(fuzz_${name} PRIVATE fuzz/driver.c)
        if(NOT fuzz_runs_${name})
            set(fuzz_runs_${name} ${fuzz_runs})
        endif()
        fathom_add_test(fuzz/${name} 300 fuzz_${name} fuzz/inputs/${name} ${fuzz_runs_${name}})
    endif()
    add_dependencies(unit_tests fuzz_${name})
endforeach()

# The command as a whole, given what it should refuse: tests/cli/*_test.py on files that make_files writes.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_executable(cli_make_files tests/cli/make_files.c)
target_link_libraries(cli_make_files PRIVATE ${below} fathom_test_support fathom_flags fathom_dependencies)
add_dependencies(unit_tests cli_make_files fathom_command)
file(GLOB scripts CONFIGURE_DEPENDS tests/cli/*_test.py)
foreach(script ${scripts})
    get_filename_component(name ${script} NAME_WE)
    fathom_add_test(command/${name} 300 ${Python3_EXECUTABLE} ${script})
    set_property(TEST ${FATHOM_TEST_PREFIX}command/${name} APPEND PROPERTY ENVIRONMENT
        FATHOM=$<TARGET_FILE:fathom_command> FATHOM_MAKE_FILES=$<TARGET_FILE:cli_make_files> PYTHONDONTWRITEBYTECODE=1
        FATHOM_SANITIZE=${FATHOM_SANITIZE})
endforeach()
# FATHOM_LOAD_SECONDS=60 makes it run for minutes.
set_tests_properties(${FATHOM_TEST_PREFIX}command/load_test PROPERTIES TIMEOUT 900)

# What crosses rooms or looks at the sources needs no second run under sanitizers.
if(NOT FATHOM_SANITIZE)
    file(GLOB scripts CONFIGURE_DEPENDS tests/*_test.sh)
    foreach(script ${scripts})
        get_filename_component(name ${script} NAME_WE)
        fathom_add_test(${name} 600 sh ${script})
        set_property(TEST ${FATHOM_TEST_PREFIX}${name} APPEND PROPERTY ENVIRONMENT
            FATHOM=$<TARGET_FILE:fathom_command> FATHOM_BUILD=${CMAKE_BINARY_DIR} CMAKE=${CMAKE_COMMAND}
            CC=${CMAKE_C_COMPILER} CXX=${CMAKE_CXX_COMPILER})
        # 77 says that a tool which the test needs is not there.
        set_property(TEST ${FATHOM_TEST_PREFIX}${name} PROPERTY SKIP_RETURN_CODE 77)
    endforeach()
    # 77 says that the shell is not installed.
    foreach(shell bash zsh fish)
        fathom_add_test(completion/${shell} 300 ${Python3_EXECUTABLE} tests/completion.py ${shell})
        set_property(TEST ${FATHOM_TEST_PREFIX}completion/${shell} APPEND PROPERTY ENVIRONMENT FATHOM=$<TARGET_FILE:fathom_command>)
        set_property(TEST ${FATHOM_TEST_PREFIX}completion/${shell} PROPERTY SKIP_RETURN_CODE 77)
    endforeach()
    # Fetches packages once, and starts a browser.
    set_property(TEST ${FATHOM_TEST_PREFIX}page_test PROPERTY TIMEOUT 1500)
endif()
