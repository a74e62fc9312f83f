# SPDX-License-Identifier: Apache-2.0
# cmake -DCOMMAND="c++;..." -DMISUSE=n -DMESSAGE=text -P check_compile_fail.cmake: the program must not compile, and
# what the compiler says must hold MESSAGE; several stand with a | between them. Without MESSAGE it must compile.
execute_process(COMMAND ${COMMAND} -DMISUSE=${MISUSE} RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said
  TIMEOUT 100)
if(NOT MESSAGE)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "The program without a misuse does not compile:\n${said}")
  endif()
  return()
endif()
if(status EQUAL 0)
  message(FATAL_ERROR "The misuse compiles.")
endif()
string(REPLACE "|" ";" texts "${MESSAGE}")
foreach(text ${texts})
  string(FIND "${said}" "${text}" found)
  if(found EQUAL -1)
    message(FATAL_ERROR "The compiler does not say \"${text}\" but:\n${said}")
  endif()
endforeach()
