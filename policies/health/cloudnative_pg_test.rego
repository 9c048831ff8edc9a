package health.cloudnative_pg_test

import data.health.cloudnative_pg

cases := [
	{"want": "Ready", "object": {"kind": "Cluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Cluster in healthy state"}}},
	{"want": "Progressing", "object": {"kind": "Cluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Setting up primary"}}},
	{"want": "Failed", "object": {"kind": "Cluster", "metadata": {"name": "a", "generation": 1}, "status": {"phase": "Not enough disk space"}}},
	{"want": "Progressing", "object": {"kind": "Cluster", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		cloudnative_pg.status == c.want with input as c.object
		cloudnative_pg.message == cloudnative_pg.message with input as c.object
	}
}
