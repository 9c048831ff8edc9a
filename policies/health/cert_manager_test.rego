package health.cert_manager_test

import data.health.cert_manager

cases := [
	{"want": "Ready", "object": {"kind": "Certificate", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Progressing", "object": {"kind": "Certificate", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "DoesNotExist", "message": "broken"}, {"type": "Issuing", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "Certificate", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "DoesNotExist", "message": "broken"}, {"type": "Issuing", "status": "False", "reason": "Failed", "message": "broken"}], "failedIssuanceAttempts": 2}}},
	{"want": "Progressing", "object": {"kind": "Certificate", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "", "message": "", "observedGeneration": 0}]}}},
	{"want": "Failed", "object": {"kind": "CertificateRequest", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Denied", "status": "True", "reason": "Ok", "message": "fine"}, {"type": "Ready", "status": "False", "reason": "Denied", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "CertificateRequest", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "Pending", "message": "broken"}]}}},
	{"want": "Failed", "object": {"kind": "Issuer", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "ErrRegisterACMEAccount", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "ClusterIssuer", "metadata": {"name": "a", "generation": 1}}},
	{"want": "Ready", "object": {"kind": "Order", "metadata": {"name": "a", "generation": 1}, "status": {"state": "valid"}}},
	{"want": "Failed", "object": {"kind": "Challenge", "metadata": {"name": "a", "generation": 1}, "status": {"state": "invalid", "reason": "404"}}},
	{"want": "Progressing", "object": {"kind": "Order", "metadata": {"name": "a", "generation": 1}, "status": {"state": "pending"}}},
]

test_health if {
	every c in cases {
		cert_manager.status == c.want with input as c.object
		cert_manager.message == cert_manager.message with input as c.object
	}
}
