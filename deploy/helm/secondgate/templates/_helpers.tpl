{{- define "secondgate.fullname" -}}
{{- if contains "secondgate" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-secondgate" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "secondgate.selector" -}}
app.kubernetes.io/name: secondgate
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "secondgate.labels" -}}
{{ include "secondgate.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "secondgate.hosts" -}}
{{- $hosts := list -}}
{{- range .Values.apps }}{{ $hosts = append $hosts .host }}{{ end -}}
{{- with .Values.console }}{{ $hosts = append $hosts . }}{{ end -}}
{{- with .Values.portal }}{{ $hosts = append $hosts . }}{{ end -}}
{{- toJson $hosts -}}
{{- end }}

{{- define "secondgate.caddyfile" -}}
{{- if .Values.caddyfile -}}
{{ .Values.caddyfile }}
{{- else -}}
{
	# In this pod alone: kubectl exec … -- secondgate mfa …
	admin localhost:2019
	persist_config off
	{{- with .Values.trustedProxies }}
	servers {
		trusted_proxies static {{ join " " . }}
		trusted_proxies_strict
	}
	{{- end }}
	mfa {
		store postgres {file./run/secrets/secondgate/database-url} {
			master_key {file./run/secrets/secondgate/master-key}
			max_conns {{ .Values.database.maxConns }}
			keep_events {{ .Values.database.keepEvents }}
		}
		{{- with .Values.domain }}
		domain {{ . }}
		{{- end }}
		{{- with .Values.mfa }}
		{{- range splitList "\n" (trim .) }}
		{{ . }}
		{{- end }}
		{{- end }}
	}
}

# For the probes, and nothing else: this port is open to more than the other.
http://:8081 {
	@other not path /.mfa/health
	route {
		respond @other 404
		mfa
	}
}
{{- range .Values.apps }}

http://{{ .host }}:8080 {
	mfa
	reverse_proxy {{ .upstream }}
}
{{- end }}
{{- with .Values.console }}

http://{{ . }}:8080 {
	mfa_console
}
{{- end }}
{{- with .Values.portal }}

http://{{ . }}:8080 {
	mfa_portal
}
{{- end }}
{{- end }}
{{- end }}
