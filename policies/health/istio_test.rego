package health.istio_test

import data.health.istio

cases := [
	{"want": "Ready", "object": {"kind": "VirtualService", "metadata": {"name": "a", "generation": 1}}},
	{"want": "Failed", "object": {"kind": "Gateway", "metadata": {"name": "a", "generation": 1}, "status": {"validationMessages": [{"level": "ERROR", "type": {"code": "IST0101"}}]}}},
	{"want": "Progressing", "object": {"kind": "VirtualService", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Reconciled", "status": "False", "reason": "x", "message": "broken"}]}}},
	{"want": "Ready", "object": {"kind": "IstioOperator", "metadata": {"name": "a", "generation": 1}, "status": {"status": "HEALTHY"}}},
	{"want": "Failed", "object": {"kind": "IstioOperator", "metadata": {"name": "a", "generation": 1}, "status": {"status": "ERROR"}}},
	{"want": "Progressing", "object": {"kind": "IstioOperator", "metadata": {"name": "a", "generation": 1}, "status": {"status": "RECONCILING"}}},
]

test_health if {
	every c in cases {
		istio.status == c.want with input as c.object
		istio.message == istio.message with input as c.object
	}
}
