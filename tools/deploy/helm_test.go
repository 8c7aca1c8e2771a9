package deploy

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const chart = "deploy/helm/secondgate"

// helm runs the real Helm.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	env := []string{"HELM_CACHE_HOME=" + home, "HELM_CONFIG_HOME=" + home, "HELM_DATA_HOME=" + home}
	return run(t, env, "go", append([]string{"tool", "helm"}, args...)...)
}

// object is what the test reads of what Helm makes.
type object struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Replicas int
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		Template struct {
			Metadata struct {
				Labels, Annotations map[string]string
			}
			Spec struct {
				AutomountServiceAccountToken *bool          `yaml:"automountServiceAccountToken"`
				SecurityContext              map[string]any `yaml:"securityContext"`
				Containers                   []struct {
					Image           string
					Args            []string
					SecurityContext map[string]any `yaml:"securityContext"`
					LivenessProbe   map[string]any `yaml:"livenessProbe"`
					ReadinessProbe  map[string]any `yaml:"readinessProbe"`
					Env             []any
				}
			}
		}
		Ingress []map[string]any
		Rules   []struct{ Host string }
	}
}

func rendered(t *testing.T, args ...string) map[string]object {
	t.Helper()
	out, err := helm(t, append([]string{"template", "gate", filepath.Join(top, chart), "-f", filepath.Join(top, chart, "ci/example-values.yaml")}, args...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := map[string]object{}
	for d := yaml.NewDecoder(bytes.NewReader([]byte(out))); ; {
		var o object
		err := d.Decode(&o)
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if o.Kind != "" {
			found[o.Kind] = o
		}
	}
}

func TestHelm_Lint(t *testing.T) {
	if out, err := helm(t, "lint", "--strict", "-f", filepath.Join(top, chart, "ci/example-values.yaml"), filepath.Join(top, chart)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// What Helm makes runs as nobody in particular, with nothing that it does not need, and the
// Caddyfile in it is one.
func TestHelm_Template(t *testing.T) {
	all := rendered(t)
	for _, kind := range []string{"Deployment", "Service", "ConfigMap", "ServiceAccount", "PodDisruptionBudget", "NetworkPolicy", "Ingress"} {
		if all[kind].Metadata.Name != "gate-secondgate" {
			t.Errorf("%s: %q", kind, all[kind].Metadata.Name)
		}
	}
	d := all["Deployment"].Spec
	for name, value := range d.Selector.MatchLabels {
		if d.Template.Metadata.Labels[name] != value {
			t.Errorf("the Deployment does not select its own pods: %s", name)
		}
	}
	pod := d.Template.Spec
	c := pod.Containers[0]
	if d.Replicas != 2 || pod.SecurityContext["runAsNonRoot"] != true || c.SecurityContext["readOnlyRootFilesystem"] != true ||
		c.SecurityContext["allowPrivilegeEscalation"] != false || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Errorf("%+v", d)
	}
	if len(c.Env) > 0 {
		t.Error("secrets in the environment are seen by whoever may look at the pod")
	}
	// A database that is away must not start all gateways anew.
	if c.LivenessProbe["httpGet"] != nil || c.ReadinessProbe["httpGet"] == nil {
		t.Errorf("probes: %v %v", c.LivenessProbe, c.ReadinessProbe)
	}
	file := filepath.Join(t.TempDir(), "Caddyfile")
	text := all["ConfigMap"].Data["Caddyfile"]
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out := adapts(t, file)
	for _, want := range []string{`"module":"postgres"`, `"{file./run/secrets/secondgate/master-key}"`, `"app.example.com"`, `"mfa_console"`, `"trusted_proxies"`, `"domain":"example.com"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s in\n%s", want, out)
		}
	}
	// Another configuration makes other pods.
	other := rendered(t, "--set", "domain=example.org")["Deployment"].Spec.Template.Metadata.Annotations["checksum/config"]
	if sum := d.Template.Metadata.Annotations["checksum/config"]; sum == "" || sum == other {
		t.Errorf("checksums %q and %q", sum, other)
	}
	if _, there := rendered(t, "--set", "replicas=1")["PodDisruptionBudget"]; there {
		t.Error("one gateway that may not go keeps a machine from being emptied")
	}
}

// The schema refuses what would be misunderstood.
func TestHelm_Schema(t *testing.T) {
	for _, set := range []string{
		"existingSecret=", "replicas=0", "apps[0].host=app.example.com {", "apps[0].upstream=http://app:8080/path", "console=https://console.example.com",
		"database.maxConns=1", "replica=3", "domain=Example.com\nrequire off", "trustedProxies[0]=everybody",
	} {
		if out, err := helm(t, "template", "gate", filepath.Join(top, chart), "-f", filepath.Join(top, chart, "ci/example-values.yaml"), "--set", set); err == nil {
			t.Errorf("%q was taken:\n%s", set, out)
		}
	}
}
