package health.longhorn_test

import data.health.longhorn

cases := [
	{"want": "Ready", "object": {"kind": "Volume", "metadata": {"name": "a", "generation": 1}, "status": {"state": "attached", "robustness": "healthy"}}},
	{"want": "Progressing", "object": {"kind": "Volume", "metadata": {"name": "a", "generation": 1}, "status": {"state": "attached", "robustness": "degraded"}}},
	{"want": "Failed", "object": {"kind": "Volume", "metadata": {"name": "a", "generation": 1}, "status": {"state": "detached", "robustness": "faulted"}}},
	{"want": "Ready", "object": {"kind": "Volume", "metadata": {"name": "a", "generation": 1}, "status": {"state": "detached", "robustness": "unknown"}}},
]

test_health if {
	every c in cases {
		longhorn.status == c.want with input as c.object
		longhorn.message == longhorn.message with input as c.object
	}
}
