package health.gateway_api_test

import data.health.gateway_api

cases := [
	{"want": "Ready", "object": {"kind": "GatewayClass", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Accepted", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "GatewayClass", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Accepted", "status": "False", "reason": "InvalidParameters", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "GatewayClass", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Accepted", "status": "Unknown", "reason": "Wait", "message": "working"}]}}},
	{"want": "Ready", "object": {"kind": "Gateway", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Accepted", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "Programmed", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "Gateway", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Accepted", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "Programmed", "status": "False", "reason": "Pending", "message": "broken"}]}}},
	{"want": "Failed", "object": {"kind": "Gateway", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Accepted", "status": "False", "reason": "Invalid", "message": "broken"}]}}},
	{"want": "Ready", "object": {"kind": "HTTPRoute", "metadata": {"name": "a", "generation": 1}, "status": {"parents": [{"parentRef": {"name": "gw"}, "conditions": [{"type": "Accepted", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "ResolvedRefs", "status": "True", "reason": "Ok", "message": "fine"}]}]}}},
	{"want": "Failed", "object": {"kind": "HTTPRoute", "metadata": {"name": "a", "generation": 1}, "status": {"parents": [{"parentRef": {"name": "gw"}, "conditions": [{"type": "Accepted", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": "broken"}]}]}}},
	{"want": "Progressing", "object": {"kind": "GRPCRoute", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		gateway_api.status == c.want with input as c.object
		gateway_api.message == gateway_api.message with input as c.object
	}
}
