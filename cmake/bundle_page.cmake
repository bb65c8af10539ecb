# Run by the build: cmake -DNODE= -DNPM= -DWEB= -DOUT= -P bundle_page.cmake writes OUT/page_files.c. Packages are fetched once
# for each lock file, into OUT/packages: the source tree is not written to.
set(packages ${OUT}/packages)
file(SHA256 ${WEB}/package-lock.json wanted)
set(have)
if(EXISTS ${packages}/fetched)
    file(READ ${packages}/fetched have)
endif()
if(NOT have STREQUAL wanted)
    file(REMOVE_RECURSE ${packages})
    file(COPY ${WEB}/package.json ${WEB}/package-lock.json ${WEB}/.npmrc DESTINATION ${packages})
    execute_process(COMMAND ${NPM} ci --omit=dev --ignore-scripts --prefer-offline --no-audit --no-fund --fetch-retries=1
        WORKING_DIRECTORY ${packages} RESULT_VARIABLE failed OUTPUT_VARIABLE text ERROR_VARIABLE text)
    if(failed)
        message("${text}\nThe server's page is left out: npm could not fetch its packages. Remove ${OUT}/page_files.c and build "
            "again once it can.")
        configure_file(${CMAKE_CURRENT_LIST_DIR}/page_missing.c ${OUT}/page_files.c COPYONLY)
        return()
    endif()
    file(WRITE ${packages}/fetched ${wanted})
endif()
execute_process(COMMAND ${NODE} ${WEB}/build.mjs ${OUT}/bundle ${packages}/node_modules COMMAND_ERROR_IS_FATAL ANY)
file(RENAME ${OUT}/bundle/page_files.c ${OUT}/page_files.c)
