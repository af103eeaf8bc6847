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
- name: COMPANY_STORE_PROFILE
  value: production
{{ include "company-store.database-env" . }}
- name: COMPANY_STORE_PUBLIC_URL
  value: {{ .Values.publicUrl | quote }}
- name: COMPANY_STORE_KEY_RING__CURRENT
  value: {{ .Values.keyRing.current | quote }}
- name: COMPANY_STORE_KEY_RING__KEYS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.keyRing.existingSecret }}
      key: {{ .Values.keyRing.key }}
- name: COMPANY_STORE_OBJECTS__KIND
  value: s3
{{- with .Values.objects.endpoint }}
- name: COMPANY_STORE_OBJECTS__ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: COMPANY_STORE_OBJECTS__REGION
  value: {{ .Values.objects.region | quote }}
- name: COMPANY_STORE_OBJECTS__BUCKET
  value: {{ .Values.objects.bucket | quote }}
- name: COMPANY_STORE_OBJECTS__PATH_STYLE
  value: {{ .Values.objects.pathStyle | quote }}
{{- with .Values.objects.publicEndpoint }}
- name: COMPANY_STORE_OBJECTS__PUBLIC_ENDPOINT
  value: {{ . | quote }}
{{- end }}
- name: COMPANY_STORE_OBJECTS__ACCESS_KEY_ID
  valueFrom:
    secretKeyRef:
      name: {{ .Values.objects.existingSecret }}
      key: {{ .Values.objects.accessKeyIdKey }}
- name: COMPANY_STORE_OBJECTS__SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.objects.existingSecret }}
      key: {{ .Values.objects.secretAccessKeyKey }}
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
