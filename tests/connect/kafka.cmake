# SPDX-License-Identifier: Apache-2.0
# Kafka: the mock cluster of librdkafka, or brokers that the environment names (SLUICE_KAFKA_BROKERS).
add_library(kafka_world OBJECT cutting_proxy.cpp kafka_broker.cpp kafka_broker_process.cpp kafka_cluster.cpp kafka_reading.cpp kafka_transaction_log.cpp)
target_link_libraries(kafka_world PUBLIC GTest::gtest PkgConfig::rdkafka)
sluice_compile_options(kafka_world)

sluice_test(kafka_connect LABELS connect TIMEOUT 180
  SOURCES kafka_letters_test.cpp kafka_reading_test.cpp kafka_restore_test.cpp kafka_test.cpp kafka_transaction_test.cpp
  LIBS sluice::kafka kafka_world fmt::fmt
  INCLUDES "${PROJECT_SOURCE_DIR}/tests/engine" "${PROJECT_SOURCE_DIR}/tests/edges" "${PROJECT_SOURCE_DIR}/connect/kafka/src"
    "${PROJECT_SOURCE_DIR}/tests/crash")
