package health.strimzi_test

import data.health.strimzi

cases := [
	{"want": "Ready", "object": {"kind": "Kafka", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "KafkaTopic", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "NotReady", "status": "True", "reason": "FatalProblem", "message": "no"}]}}},
	{"want": "Progressing", "object": {"kind": "Kafka", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "NotReady", "status": "True", "reason": "Creating", "message": "being created"}]}}},
	{"want": "Failed", "object": {"kind": "KafkaUser", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "x", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "KafkaConnect", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}], "observedGeneration": 0}}},
]

test_health if {
	every c in cases {
		strimzi.status == c.want with input as c.object
		strimzi.message == strimzi.message with input as c.object
	}
}
