{{- define "common.merge" -}}
{{- $top := first . -}}
{{- $overrides := fromYaml (include (index . 1) $top) | default (dict ) -}}
{{- $tpl := fromYaml (include (index . 2) $top) | default (dict ) -}}
{{- toYaml (merge $overrides $tpl) -}}
{{- end -}}
{{- define "common.deployment.tpl" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app: {{ .Chart.Name }}, lib: {{ .Values.common.exported }}}
spec:
  replicas: {{ .Values.replicas }}
  template: {spec: {containers: [{name: a, image: b}]}}
{{- end -}}
{{- define "common.deployment" -}}{{- include "common.merge" (append . "common.deployment.tpl") -}}{{- end -}}
