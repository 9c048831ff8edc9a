{{- define "monitoring.fullname" -}}{{ printf "%s-%s" .Release.Name "mon" | trunc 26 | trimSuffix "-" }}{{- end -}}
{{- define "monitoring.labels" }}
app.kubernetes.io/instance: {{ $.Release.Name }}
chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
heritage: {{ $.Release.Service | quote }}
{{- end }}
