package health.sealed_secrets_test

import data.health.sealed_secrets

cases := [
	{"want": "Ready", "object": {"kind": "SealedSecret", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Synced", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "SealedSecret", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Synced", "status": "False", "reason": "", "message": "no key could decrypt secret"}]}}},
	{"want": "Progressing", "object": {"kind": "SealedSecret", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Synced", "status": "True", "reason": "Ok", "message": "fine"}], "observedGeneration": 0}}},
]

test_health if {
	every c in cases {
		sealed_secrets.status == c.want with input as c.object
		sealed_secrets.message == sealed_secrets.message with input as c.object
	}
}
