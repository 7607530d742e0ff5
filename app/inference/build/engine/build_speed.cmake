# Reduces the compile time of llama.cpp; CMAKE_PROJECT_llama.cpp_INCLUDE names this file.
#
# Most of the compile time goes into headers (JSON, the standard library) that every source file reads
# again, and into optimizing code that runs once per request. So
#   - source files are compiled in batches (CMake's unity builds), except those that do not compile
#     together with others;
#   - only ggml, which takes most of the time per token, keeps the -O3 of a release. The rest gets -O1.
#     The effect on tokens per second was not measured.
# Targets and files that another version of llama.cpp does not have are ignored.

function(llama_stack_batches target size)
    if (TARGET ${target})
        set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${size})
    endif()
endfunction()

# Includes files of a target in the batches, or compiles each of them alone.
function(llama_stack_in_batch target in_batch)
    if (NOT TARGET ${target})
        return()
    endif()
    if (in_batch)
        set(skip OFF)
    else()
        set(skip ON)
    endif()
    get_target_property(folder ${target} SOURCE_DIR)
    foreach(file ${ARGN})
        if (EXISTS ${folder}/${file})
            set_source_files_properties(${folder}/${file} TARGET_DIRECTORY ${target}
                PROPERTIES SKIP_UNITY_BUILD_INCLUSION ${skip})
        endif()
    endforeach()
endfunction()

function(llama_stack_less_optimized)
    foreach(target ${ARGN})
        if (TARGET ${target})
            target_compile_options(${target} PRIVATE -O1)
        endif()
    endforeach()
endfunction()

function(llama_stack_tune)
    llama_stack_batches(llama 16)
    # Upstream batches only the files of the models.
    get_target_property(sources llama SOURCES)
    list(FILTER sources INCLUDE REGEX "^(llama|unicode)[^/]*\\.cpp$")
    llama_stack_in_batch(llama TRUE ${sources})

    llama_stack_batches(llama-common 26)
    # They specialize templates that the others use.
    llama_stack_in_batch(llama-common FALSE json.cpp jinja/value.cpp)
    llama_stack_batches(mtmd 24)
    # They do not compile together with the library's internal headers.
    llama_stack_in_batch(mtmd FALSE mtmd-helper.cpp mtmd-helper-gen.cpp)
    llama_stack_batches(server-context 9)
    llama_stack_batches(llama-server-impl 9)
    llama_stack_less_optimized(llama llama-common mtmd server-context llama-server-impl cpp-httplib)

    llama_stack_batches(ggml-base 9)
    get_property(backends DIRECTORY ${CMAKE_SOURCE_DIR}/ggml/src PROPERTY BUILDSYSTEM_TARGETS)
    list(FILTER backends INCLUDE REGEX "^ggml-cpu-")
    list(FILTER backends EXCLUDE REGEX "-feats$")
    foreach(backend ${backends})
        llama_stack_batches(${backend} 9)
        # It declares quantized blocks differently.
        llama_stack_in_batch(${backend} FALSE ggml-cpu/amx/mmq.cpp)
    endforeach()
    list(LENGTH backends count)
    if (LLAMA_STACK_CPU_VARIANTS STREQUAL "host" AND count GREATER 1)
        # Used only if the image later runs on another processor.
        llama_stack_less_optimized(ggml-cpu-x64 ggml-cpu-armv8.0_1)
    endif()
endfunction()

cmake_language(DEFER CALL llama_stack_tune)
