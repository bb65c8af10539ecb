# `cmake --install`: the library, its headers, pkg-config file and CMake package, the command, its man pages,
# shell completion, dictionaries and catalogues.
include(CMakePackageConfigHelpers)

install(TARGETS fathom_library EXPORT fathom
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS fathom_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY share/ DESTINATION ${CMAKE_INSTALL_DATADIR}/fathom)
install(DIRECTORY include/fathom DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# The paths are told from where the file lies, so that an installed tree can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH pkgconfig_to_prefix /prefix/${pkgconfig_dir} /prefix)
configure_file(cmake/fathom.pc.in fathom.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/fathom.pc DESTINATION ${pkgconfig_dir})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fathom)
install(EXPORT fathom FILE fathomTargets.cmake NAMESPACE fathom:: DESTINATION ${package_dir})
configure_package_config_file(cmake/fathomConfig.cmake.in fathomConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(fathomConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/fathomConfig.cmake ${CMAKE_BINARY_DIR}/fathomConfigVersion.cmake DESTINATION ${package_dir})

# The command writes its man pages and completion scripts itself, out of its table of commands.
if(NOT CMAKE_CROSSCOMPILING)
    install(CODE "
        set(pages \"${CMAKE_BINARY_DIR}/pages\")
        file(REMOVE_RECURSE \"\${pages}\")
        file(MAKE_DIRECTORY \"\${pages}/man1\")
        execute_process(COMMAND \"$<TARGET_FILE:fathom_command>\" man \"\${pages}/man1\" COMMAND_ERROR_IS_FATAL ANY)
        foreach(shell bash zsh fish)
            execute_process(COMMAND \"$<TARGET_FILE:fathom_command>\" completion \${shell}
                OUTPUT_FILE \"\${pages}/\${shell}\" COMMAND_ERROR_IS_FATAL ANY)
        endforeach()")
    install(DIRECTORY ${CMAKE_BINARY_DIR}/pages/man1 DESTINATION ${CMAKE_INSTALL_MANDIR})
    install(FILES ${CMAKE_BINARY_DIR}/pages/bash RENAME fathom DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${CMAKE_BINARY_DIR}/pages/zsh RENAME _fathom DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
    install(FILES ${CMAKE_BINARY_DIR}/pages/fish RENAME fathom.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()
