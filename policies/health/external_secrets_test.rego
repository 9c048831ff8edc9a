package health.external_secrets_test

import data.health.external_secrets

cases := [
	{"want": "Ready", "object": {"kind": "ExternalSecret", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "ExternalSecret", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "SecretSyncedError", "message": "broken"}]}}},
	{"want": "Failed", "object": {"kind": "SecretStore", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "InvalidProviderConfig", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "ClusterSecretStore", "metadata": {"name": "a", "generation": 1}}},
]

test_health if {
	every c in cases {
		external_secrets.status == c.want with input as c.object
		external_secrets.message == external_secrets.message with input as c.object
	}
}
