{{- define "pod" -}}
metadata:
  labels: {app.kubernetes.io/name: {{ .name }}}
spec:
  serviceAccountName: {{ .name }}
  restartPolicy: {{ .restartPolicy }}
  securityContext: {runAsNonRoot: true, runAsUser: 10001}
  containers:
    - name: manager
      image: {{ .root.Values.registry }}/{{ .name }}:{{ .root.Chart.AppVersion }}
      envFrom:
        - configMapRef: {name: site}
      {{- with .manager.port }}
      ports:
        - {name: http, containerPort: {{ . }}}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
      resources:
        {{- toYaml .root.Values.resources | nindent 8 }}
{{- end }}
