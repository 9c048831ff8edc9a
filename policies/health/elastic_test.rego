package health.elastic_test

import data.health.elastic

cases := [
	{"want": "Ready", "object": {"kind": "Elasticsearch", "metadata": {"name": "a", "generation": 1}, "status": {"health": "green", "phase": "Ready"}}},
	{"want": "Progressing", "object": {"kind": "Elasticsearch", "metadata": {"name": "a", "generation": 1}, "status": {"health": "yellow", "phase": "Ready"}}},
	{"want": "Failed", "object": {"kind": "Kibana", "metadata": {"name": "a", "generation": 1}, "status": {"health": "red"}}},
	{"want": "Failed", "object": {"kind": "Elasticsearch", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Invalid"}}},
	{"want": "Progressing", "object": {"kind": "Elasticsearch", "metadata": {"name": "a", "generation": 1}, "status": {"health": "green", "phase": "ApplyingChanges"}}},
	{"want": "Progressing", "object": {"kind": "Kibana", "metadata": {"name": "a", "generation": 1}, "status": {"health": "green", "observedGeneration": 0}}},
]

test_health if {
	every c in cases {
		elastic.status == c.want with input as c.object
		elastic.message == elastic.message with input as c.object
	}
}
