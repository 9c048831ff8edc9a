package health.crossplane_test

import data.health.crossplane

cases := [
	{"want": "Ready", "object": {"kind": "Provider", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Installed", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "Healthy", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "Provider", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Installed", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "Healthy", "status": "False", "reason": "UnhealthyPackageRevision", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "Configuration", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Installed", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Ready", "object": {"kind": "CompositeResourceDefinition", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Established", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "CompositeResourceDefinition", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		crossplane.status == c.want with input as c.object
		crossplane.message == crossplane.message with input as c.object
	}
}
