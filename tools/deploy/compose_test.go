package deploy

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func project(t *testing.T) *types.Project {
	t.Helper()
	o, err := cli.NewProjectOptions([]string{filepath.Join(top, "deploy/compose.yaml")}, cli.WithName("secondgate"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := o.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The compose file is one, and what it names is there.
func TestCompose(t *testing.T) {
	p := project(t)
	for _, name := range []string{"node1", "node2", "proxy", "app", "postgres"} {
		if _, err := p.GetService(name); err != nil {
			t.Error(err)
		}
	}
	for name, c := range p.Configs {
		if _, err := os.Stat(c.File); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		adapts(t, c.File)
	}
	for _, name := range []string{"node1", "node2"} {
		s := p.Services[name]
		if !s.ReadOnly || s.Privileged || !slices.Contains(s.CapDrop, "ALL") || s.User == "root" || len(s.Ports) > 0 {
			t.Errorf("%s may more than it needs: %+v", name, s)
		}
		if d, ok := s.DependsOn["postgres"]; !ok || d.Condition != types.ServiceConditionHealthy {
			t.Errorf("%s does not wait for the database", name)
		}
		var secrets []string
		for _, secret := range s.Secrets {
			secrets = append(secrets, secret.Source)
		}
		if slices.Sort(secrets); !slices.Equal(secrets, []string{"database-url", "master-key"}) {
			t.Errorf("%s has the secrets %v", name, secrets)
		}
		for variable := range s.Environment {
			t.Errorf("%s: %s in the environment, which docker inspect shows", name, variable)
		}
	}
	if p.Services["node2"].Build != nil || p.Services["node1"].Build == nil {
		t.Error("the image is built once, by node1")
	}
	if d := p.Services["node1"].Build; d != nil {
		if _, err := os.Stat(filepath.Join(d.Context, d.Dockerfile)); err != nil {
			t.Error(err)
		}
	}
	// What has no sign-in of its own is not reached past the gateways.
	for _, name := range []string{"app", "postgres"} {
		s := p.Services[name]
		if len(s.Ports) > 0 || len(s.Networks) != 1 {
			t.Errorf("%s: ports %v, networks %v", name, s.Ports, s.Networks)
		}
		for network := range s.Networks {
			if !p.Networks[network].Internal {
				t.Errorf("%s is in the network %s, which has a way out", name, network)
			}
		}
	}
	for network := range p.Services["postgres"].Networks {
		if _, shared := p.Services["app"].Networks[network]; shared {
			t.Errorf("an app that was broken into reaches the database by %s", network)
		}
	}
	for _, port := range p.Services["proxy"].Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("the trial is open to the network: %+v", port)
		}
	}
}
