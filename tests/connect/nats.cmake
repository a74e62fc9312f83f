# SPDX-License-Identifier: Apache-2.0
# NATS JetStream: a server, and a way to it that is cut.
add_library(nats_world OBJECT cutting_proxy.cpp nats_questions.cpp nats_server.cpp)
target_link_libraries(nats_world PUBLIC GTest::gtest PkgConfig::libnats)
sluice_compile_options(nats_world)

sluice_test(nats_connect LABELS connect TIMEOUT 180
  SOURCES nats_burst_test.cpp nats_disk_test.cpp nats_letters_test.cpp nats_pull_test.cpp nats_restore_test.cpp nats_sink_kill_test.cpp nats_sink_test.cpp
    nats_source_count_test.cpp nats_source_limits_test.cpp nats_source_queue_test.cpp
    nats_source_removed_test.cpp nats_source_test.cpp
  LIBS sluice::nats nats_world fmt::fmt
  INCLUDES "${PROJECT_SOURCE_DIR}/tests/engine" "${PROJECT_SOURCE_DIR}/tests/edges" "${PROJECT_SOURCE_DIR}/connect/nats/src"
    "${PROJECT_SOURCE_DIR}/tests/crash")
