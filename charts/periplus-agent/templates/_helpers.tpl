{{/* Labels of every object of the chart. */}}
{{- define "periplus-agent.labels" -}}
{{ include "periplus-agent.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end }}

{{/* What the Deployment selects: never changes during the life of a release. */}}
{{- define "periplus-agent.selector" -}}
app.kubernetes.io/name: periplus-agent
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* ServiceAccount of one tenant entry. */}}
{{- define "periplus-agent.tenantServiceAccount" -}}
{{ .serviceAccountName | default (printf "periplus-tenant-%s" .namespace) }}
{{- end }}

{{/* Cluster-wide objects carry the release's namespace and name: two agents of two fleets can live in one cluster. */}}
{{- define "periplus-agent.clusterName" -}}
{{ printf "%s:%s" .Release.Namespace .Release.Name }}
{{- end }}

{{/* Arguments about policies that all processes have. */}}
{{- define "periplus-agent.policyArgs" -}}
{{- $points := list }}
{{- if .Values.policy.admission.enabled }}{{ $points = append $points "admission" }}{{ end }}
{{- if .Values.policy.audit.enabled }}{{ $points = append $points "audit" }}{{ end -}}
{{- if $points }}
- --policy-points={{ join "," $points }}
{{- end }}
{{- if .Values.policy.key }}
- --policy-key=/etc/periplus/policy/key.pem
{{- end }}
{{- if .Values.policy.admission.enabled }}
- --admission-service={{ .Release.Name }}-admission
{{- with .Values.policy.admission.url }}
- --admission-url={{ . }}
{{- end }}
{{- range .Values.policy.admission.excludedNamespaces }}
- --admission-exclude={{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the admission Deployment selects. */}}
{{- define "periplus-agent.admissionSelector" -}}
app.kubernetes.io/name: periplus-agent-admission
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Refuses values that contradict each other, by name: what a schema cannot say, or cannot say plainly. */}}
{{- define "periplus-agent.validate" -}}
{{- if not .Values.hub.endpoints }}
{{- fail "hub.endpoints is empty: name the hub's link, host:port, as `periplus cluster join` prints it" }}
{{- end }}
{{- if not .Values.hub.caHash }}
{{- fail "hub.caHash is empty: without it the agent cannot tell the hub from another; `periplus cluster join` prints it" }}
{{- end }}
{{- if not .Values.join.secretName }}
{{- fail "join.secretName is empty: name the Secret with the join token" }}
{{- end }}
{{- if not .Values.sops.secretName }}
{{- fail "sops.secretName is empty: name the Secret with the keys of encrypted manifests; it need not exist" }}
{{- end }}
{{- if eq .Values.sops.secretName .Values.join.secretName }}
{{- fail "sops.secretName and join.secretName are the same: the join token is deleted once it is used, the keys are not" }}
{{- end }}
{{- $release := .Release }}
{{- $seen := dict }}
{{- range $i, $tenant := .Values.tenants }}
{{- $at := printf "tenants[%d] (%s)" $i $tenant.namespace }}
{{- $account := include "periplus-agent.tenantServiceAccount" $tenant }}
{{- if eq $account $release.Name }}
{{- fail (printf "%s.serviceAccountName %q is the agent's own: a tenant must not act as the agent" $at $account) }}
{{- end }}
{{- if hasKey $seen $account }}
{{- fail (printf "%s and %s have the same serviceAccountName %q: give each its own, or make them one entry" (get $seen $account) $at $account) }}
{{- end }}
{{- $_ := set $seen $account $at }}
{{- if and $tenant.clusterAdmin (or $tenant.namespaces $tenant.rules) }}
{{- fail (printf "%s: clusterAdmin contradicts namespaces and rules, which it would make meaningless: leave one out" $at) }}
{{- end }}
{{- if not (or $tenant.clusterAdmin $tenant.namespaces $tenant.rules) }}
{{- fail (printf "%s grants nothing: give it clusterAdmin, namespaces or rules, or leave the entry out" $at) }}
{{- end }}
{{- range $namespace := $tenant.namespaces }}
{{- if eq $namespace $release.Namespace }}
{{- fail (printf "%s.namespaces holds %q, the agent's own namespace: its Secrets are the agent's identity" $at $namespace) }}
{{- end }}
{{- if eq $namespace "kube-system" }}
{{- fail (printf "%s.namespaces holds \"kube-system\": its Secrets and ServiceAccounts amount to the whole cluster, say clusterAdmin" $at) }}
{{- end }}
{{- end }}
{{- range $j, $rule := $tenant.rules }}
{{- if and (has "*" $rule.apiGroups) (has "*" $rule.resources) (has "*" $rule.verbs) (not $rule.resourceNames) }}
{{- fail (printf "%s.rules[%d] allows everything: say clusterAdmin" $at $j) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
