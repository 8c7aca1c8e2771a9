package caddymodule

import (
	"encoding/json"
	"slices"
)

// gatewayConfig is what the commands read of a gateway's configuration.
type gatewayConfig struct {
	Admin struct {
		Disabled bool   `json:"disabled"`
		Listen   string `json:"listen"`
	} `json:"admin"`
	Apps struct {
		MFA  json.RawMessage `json:"mfa"`
		HTTP struct {
			Servers map[string]serverConfig `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

type serverConfig struct {
	Listen []string `json:"listen"`
	Routes []struct {
		Match []struct {
			Host []string `json:"host"`
		} `json:"match"`
		Handle any `json:"handle"`
	} `json:"routes"`
	AutoHTTPS struct {
		Disable bool     `json:"disable"`
		Skip    []string `json:"skip"`
	} `json:"automatic_https"`
	TrustedProxies json.RawMessage `json:"trusted_proxies"`
}

// sites returns what the configuration protects, as App.sites does for the running
// gateway.
func (c *gatewayConfig) sites(a *App) sites {
	var list []protectedSite
	for _, s := range c.Apps.HTTP.Servers {
		for _, r := range s.Routes {
			if !hasHandler(r.Handle) {
				continue
			}
			var hosts []string
			for _, m := range r.Match {
				if len(m.Host) == 0 {
					hosts = append(hosts, "")
				}
				hosts = append(hosts, m.Host...)
			}
			if hosts == nil {
				hosts = []string{""}
			}
			for _, host := range hosts {
				// What Caddy's automatic HTTPS will do.
				https := host != "" && !slices.Contains(s.Listen, ":80") && !s.AutoHTTPS.Disable && !slices.Contains(s.AutoHTTPS.Skip, host)
				list = append(list, protectedSite{host: host, port: portOf(s.Listen, https), https: https, proxied: len(s.TrustedProxies) > 0})
			}
		}
	}
	return newSites(a, list)
}

// hasHandler reports whether our handler stands anywhere in that part of a
// configuration.
func hasHandler(part any) bool {
	switch part := part.(type) {
	case []any:
		return slices.ContainsFunc(part, hasHandler)
	case map[string]any:
		if part["handler"] == "mfa" {
			return true
		}
		for _, v := range part {
			if hasHandler(v) {
				return true
			}
		}
	}
	return false
}
