{{- define "tpl.inner" -}}inner of {{ .Template.Name | base }}{{- end -}}
