{{- define "forge.labels" -}}
app.kubernetes.io/name: forge
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Which pods: of the release, and with .service of one service. */}}
{{- define "forge.selector" -}}
app.kubernetes.io/name: forge
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .service }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "forge.runsClaim" -}}
{{ .Values.storage.runs.existingClaim | default (printf "%s-runs" .Release.Name) }}
{{- end }}

{{- define "forge.environment" -}}
- name: REDIS_URL
  valueFrom: { secretKeyRef: { name: {{ .Values.secretName }}, key: redis-url } }
- { name: FORGE_CLUSTER_TOKEN_FILE, value: /run/forge/cluster-token }
- { name: FORGE_RUN_ID, value: {{ .Values.run.id | quote }} }
- name: FORGE_HOST
  valueFrom: { fieldRef: { fieldPath: status.podIP } }
- { name: LOG_LEVEL, value: {{ .Values.logLevel | quote }} }
- { name: HF_HOME, value: /hub }
{{- if .Values.hub.enabled }}
- name: HF_TOKEN
  valueFrom: { secretKeyRef: { name: {{ .Values.secretName }}, key: hf-token, optional: true } }
{{- with .Values.hub.endpoint }}
- { name: HF_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- else }}
- { name: HF_HUB_OFFLINE, value: '1' }
{{- end }}
{{- with .Values.otlpEndpoint }}
- { name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ . | quote }} }
{{- end }}
{{- end }}

{{- define "forge.container" -}}
image: {{ printf "%s:%s" .Values.image.repository .Values.image.tag | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: { drop: [ALL] }
volumeMounts:
  - { name: secrets, mountPath: /run/forge, readOnly: true }
  - { name: runs, mountPath: /app/runs }
  - { name: tmp, mountPath: /tmp }
  - { name: hub, mountPath: /hub }
  {{- if .Values.storage.models.existingClaim }}
  - { name: models, mountPath: /models, readOnly: true }
  {{- end }}
{{- end }}

{{/* The pod of a service: root, service, settings, and single where there is one of it. */}}
{{- define "forge.pod" -}}
metadata:
  labels:
    {{- include "forge.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .service }}
spec:
  {{- with .root.Values.image.pullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  automountServiceAccountToken: false
  # A service drains within limits.drainSeconds of its recipe; a trainer saves the model.
  terminationGracePeriodSeconds: {{ eq .service "trainer" | ternary 120 30 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 1000
    runAsGroup: 1000
    fsGroup: 1000
    seccompProfile: { type: RuntimeDefault }
  {{- if eq .service "coordinator" }}
  # Checks the recipe and makes the run, or finds it.
  initContainers:
    - name: create
      # Each service has a pod, and a limit of memory, of its own.
      args: [create, --force]
      {{- include "forge.container" .root | nindent 6 }}
      resources:
        {{- toYaml .settings.resources | nindent 8 }}
      env:
        {{- include "forge.environment" .root | nindent 8 }}
        - { name: FORGE_RECIPE, value: {{ .root.Values.run.recipe | quote }} }
        - { name: FORGE_OVERRIDES, value: {{ join " " .root.Values.run.overrides | quote }} }
  {{- end }}
  containers:
    - name: {{ .service }}
      args: [{{ .service }}]
      {{- include "forge.container" .root | nindent 6 }}
        {{- /* One more of its volumeMounts, which are last. */}}
        {{- if gt (int .settings.gpus) 0 }}
        - { name: cuda-cache, mountPath: /cuda-cache }
        {{- end }}
      env:
        {{- include "forge.environment" .root | nindent 8 }}
        {{- if .single }}
        - { name: FORGE_REPLICA, value: '0' }
        {{- end }}
        {{- if eq .service "dashboard" }}
        - { name: FORGE_DASHBOARD_TOKEN_FILE, value: /run/forge/dashboard-token }
        {{- end }}
        {{- if eq .service "gateway" }}
        - { name: FORGE_GATEWAY_TOKEN_FILE, value: /run/forge/gateway-token }
        {{- end }}
      ports:
        - { name: http, containerPort: 8080 }
        - { name: calls, containerPort: 7601 }
        {{- if eq .service "gateway" }}
        - { name: agents, containerPort: 8000 }
        {{- end }}
      # Alive from the first moment on; ready once its run is there and its model is loaded.
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: {{ eq .service "dashboard" | ternary "/healthz" "/readyz" }}, port: http }
        periodSeconds: 5
        timeoutSeconds: 5
      resources:
        {{- $resources := deepCopy .settings.resources }}
        {{- if gt (int .settings.gpus) 0 }}
        {{- $_ := set $resources "limits" (merge (dict "nvidia.com/gpu" (int .settings.gpus)) (default (dict) $resources.limits)) }}
        {{- end }}
        {{- toYaml $resources | nindent 8 }}
  volumes:
    - name: secrets
      secret:
        secretName: {{ .root.Values.secretName }}
        defaultMode: 0440
        items:
          - { key: cluster-token, path: cluster-token }
          {{- if eq .service "dashboard" }}
          - { key: dashboard-token, path: dashboard-token }
          {{- end }}
          {{- if eq .service "gateway" }}
          - { key: gateway-token, path: gateway-token }
          {{- end }}
    - name: runs
      persistentVolumeClaim: { claimName: {{ include "forge.runsClaim" .root }} }
    - name: tmp
      emptyDir: {}
    {{- if gt (int .settings.gpus) 0 }}
    - name: cuda-cache
      emptyDir: {}
    {{- end }}
    - name: hub
      {{- with .root.Values.storage.hub.existingClaim }}
      persistentVolumeClaim: { claimName: {{ . }} }
      {{- else }}
      emptyDir: {}
      {{- end }}
    {{- with .root.Values.storage.models.existingClaim }}
    - name: models
      persistentVolumeClaim: { claimName: {{ . }}, readOnly: true }
    {{- end }}
  {{- with .settings.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .settings.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
