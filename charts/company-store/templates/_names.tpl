{{- define "company-store.name" -}}
{{- printf "%s" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "company-store.labels" -}}
app.kubernetes.io/name: company-store
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "company-store.selector" -}}
app.kubernetes.io/name: company-store
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "company-store.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end -}}
{{- end -}}

{{- define "company-store.database-env" -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.key }}
{{- end -}}

{{- define "company-store.shared-env" -}}
{{- $prefix := .prefix -}}
{{- with .root -}}
- name: {{ $prefix }}_PROFILE
  value: production
{{ include "company-store.database-env" . }}
- name: {{ $prefix }}_PUBLIC_URL
  value: {{ .Values.publicUrl | quote }}
- name: {{ $prefix }}_KEY_RING__CURRENT
  value: {{ .Values.keyRing.current | quote }}
- name: {{ $prefix }}_KEY_RING__KEYS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.keyRing.existingSecret }}
      key: {{ .Values.keyRing.key }}
- name: {{ $prefix }}_OBJECTS__KIND
  value: s3
{{- with .Values.objects.endpoint }}
- name: {{ $prefix }}_OBJECTS__ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: {{ $prefix }}_OBJECTS__REGION
  value: {{ .Values.objects.region | quote }}
- name: {{ $prefix }}_OBJECTS__BUCKET
  value: {{ .Values.objects.bucket | quote }}
- name: {{ $prefix }}_OBJECTS__PATH_STYLE
  value: {{ .Values.objects.pathStyle | quote }}
{{- with .Values.objects.publicEndpoint }}
- name: {{ $prefix }}_OBJECTS__PUBLIC_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: {{ $prefix }}_OBJECTS__ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .Values.objects.existingSecret }}
      key: {{ .Values.objects.accessKeyIdKey }}
- name: {{ $prefix }}_OBJECTS__SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.objects.existingSecret }}
      key: {{ .Values.objects.secretAccessKeyKey }}
{{- end -}}
{{- end -}}

{{- /* Settings as the programs read them from the environment: upper case, two underscores between levels, values as JSON. */ -}}
{{- define "company-store.settings-env" -}}
{{- $prefix := .prefix -}}
{{- range $name, $value := .settings }}
{{- if kindIs "map" $value }}
{{- include "company-store.settings-env" (dict "prefix" (printf "%s%s__" $prefix (upper $name)) "settings" $value) }}
{{- else }}
- name: {{ $prefix }}{{ upper $name }}
  value: {{ toJson $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "company-store.pod-security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "company-store.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}
