package health.tekton_test

import data.health.tekton

cases := [
	{"want": "Ready", "object": {"kind": "PipelineRun", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Succeeded", "status": "True", "reason": "Ok", "message": "fine"}]}}},
	{"want": "Failed", "object": {"kind": "TaskRun", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Succeeded", "status": "False", "reason": "TaskRunTimeout", "message": "broken"}]}}},
	{"want": "Progressing", "object": {"kind": "TaskRun", "metadata": {"name": "a", "generation": 1}, "status": {"conditions": [{"type": "Succeeded", "status": "Unknown", "reason": "Wait", "message": "working"}]}}},
]

test_health if {
	every c in cases {
		tekton.status == c.want with input as c.object
		tekton.message == tekton.message with input as c.object
	}
}
