# METADATA
# title: Strimzi
# custom:
#   kinds: [Kafka.kafka.strimzi.io, KafkaTopic.kafka.strimzi.io, KafkaConnect.kafka.strimzi.io, KafkaUser.kafka.strimzi.io]
package health.strimzi

import data.health.lib

status := verdict.status

message := verdict.message

verdict := lib.waiting if lib.behind(input)

else := lib.failed(lib.say(c)) if {
	c := lib.condition(input, "NotReady")
	c.status == "True"
	not lib.reason(c) in {"Creating"}
}

else := lib.by(input, "Ready", ["*"])
