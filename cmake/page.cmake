# The page of `fathom serve`: web/ bundled into a C file of the server's room. Where it cannot be, the server says so at "/".
option(FATHOM_PAGE "bundle the server's page, with node and npm" ON)
find_program(FATHOM_NODE node)
find_program(FATHOM_NPM npm)
if(FATHOM_PAGE AND FATHOM_NODE AND FATHOM_NPM)
    set(page_source ${CMAKE_BINARY_DIR}/web/page_files.c)
    set(web ${CMAKE_CURRENT_SOURCE_DIR}/web)
    file(GLOB_RECURSE page_inputs CONFIGURE_DEPENDS ${web}/src/*)
    add_custom_command(OUTPUT ${page_source}
        COMMAND ${CMAKE_COMMAND} -DNODE=${FATHOM_NODE} -DNPM=${FATHOM_NPM} -DWEB=${web} -DOUT=${CMAKE_BINARY_DIR}/web
            -P ${CMAKE_CURRENT_LIST_DIR}/bundle_page.cmake
        DEPENDS ${page_inputs} ${web}/build.mjs ${web}/package.json ${web}/package-lock.json
            ${CMAKE_CURRENT_LIST_DIR}/bundle_page.cmake ${CMAKE_CURRENT_LIST_DIR}/page_missing.c
        COMMENT "Bundling the page" VERBATIM)
else()
    message(STATUS "the server's page is left out: node or npm was not found, or FATHOM_PAGE is off")
    set(page_source ${CMAKE_CURRENT_LIST_DIR}/page_missing.c)
endif()
target_sources(room_server PRIVATE ${page_source})
