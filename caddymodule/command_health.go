package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
)

// healthPatience is how long the command waits for an answer.
const healthPatience = 5 * time.Second

// healthAnswer is the answer of the command, and of /.mfa/health.
type healthAnswer struct {
	Status string `json:"status"`
	Reason string `json:"reason,omitempty"`
}

// healthWords say what a reason means.
var healthWords = map[string]string{
	"store":  "the store does not answer, or is not open yet",
	"policy": "the policy cannot be read",
	"feed":   "what other nodes change is not heard of here",
}

// healthCommand is for whatever watches a container or a service and has no shell to ask
// with.
func (f *flags) healthCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "health",
		Short: "Says whether the running gateway can serve; exit status 0 or 1",
		Long: "Asks the running gateway whether it can serve: whether its store answers, its policy\n" +
			"can be read and it hears of what other nodes change. It asks at the admin endpoint, or\n" +
			"with --url at /.mfa/health of that address.\n\n" +
			"Exit status: 0 it can, 1 it cannot or does not answer.",
		Example: `  secondgate mfa health
  secondgate mfa health --address unix//run/secondgate/admin.sock
  secondgate mfa health --url http://127.0.0.1:8081`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthPatience)
			defer cancel()
			answer, err := f.health(ctx)
			if err != nil {
				// One number for all that is not well: a container's check knows no others.
				return fail(cmd, errors.New(err.Error()))
			}
			if f.json {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(answer)
			}
			fmt.Fprintln(cmd.OutOrStdout(), "The gateway serves.")
			return nil
		},
	}
	c.Flags().StringVar(&f.url, "url", "", "Ask there, and not at the admin endpoint")
	return c
}

// health returns an answer only where all is well.
func (f *flags) health(ctx context.Context) (*healthAnswer, error) {
	if f.url != "" {
		return askHealth(ctx, f.url)
	}
	cfg := new(gatewayConfig)
	if f.address == "" { // a container's check need not read the configuration
		var err error
		if cfg, err = f.gatewayConfig(); err != nil {
			return nil, err
		}
	}
	address, err := f.adminAddress(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w; say where the gateway is asked: --url http://127.0.0.1:PORT", err)
	}
	done := make(chan error, 1) // Caddy's own client has no limit of time
	go func() {
		_, err := ask(address, opHealth, adminRequest{})
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		return nil, fmt.Errorf("the gateway at %s does not answer", address)
	}
	if errors.Is(err, errNoGateway) {
		return nil, noGatewayAt(address)
	}
	if err != nil {
		return nil, err
	}
	return &healthAnswer{Status: "ok"}, nil
}

func askHealth(ctx context.Context, at string) (*healthAnswer, error) {
	u, err := url.Parse(at)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q is no address; write for example: --url http://127.0.0.1:8081", at)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath(healthPath).String(), nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway: %w", err)
	}
	defer resp.Body.Close()
	var answer healthAnswer
	// A site that is not ours answers 200 as well, with something else.
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<10)).Decode(&answer); err != nil {
		return nil, fmt.Errorf("what answers at %s is no gateway (HTTP %d): name a host that mfa protects", at, resp.StatusCode)
	}
	if resp.StatusCode != http.StatusOK || answer.Status != "ok" {
		return nil, unwell(answer.Reason)
	}
	return &answer, nil
}

// unwell is the error for a reason of /.mfa/health.
func unwell(reason string) error {
	words, known := healthWords[reason]
	if !known {
		words = "the gateway cannot serve"
	}
	return errors.New(words)
}

// answerHealth answers at the admin endpoint, before the store is open as well.
func (a *App) answerHealth(w http.ResponseWriter, r *http.Request) error {
	if fault := a.health.ask(r.Context(), a.fault); fault != "" {
		return caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: unwell(fault)}
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(adminAnswer{Done: "The gateway serves."})
}
