package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/secondgate/secondgate/internal/clock"
	"github.com/secondgate/secondgate/store"
	"github.com/secondgate/secondgate/store/badger"
)

// perform carries the operation out: in the running gateway, or on its store. by
// says which, for people.
func (f *flags) perform(ctx context.Context, op string, in adminRequest) (answer *adminAnswer, by string, err error) {
	cfg, err := f.gatewayConfig()
	if err != nil {
		return nil, "", err
	}
	answer, by, why, err := f.online(cfg, op, in)
	if why == nil {
		return answer, by, err
	}
	answer, place, err := f.offline(ctx, cfg, why, op, in)
	return answer, fmt.Sprintf("Done on the store %s, because %v.", place, why), err
}

// gatewayConfig reads the gateway's configuration; one of which nothing is known is empty.
func (f *flags) gatewayConfig() (*gatewayConfig, error) {
	raw, err := f.loadConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	cfg := new(gatewayConfig)
	if raw != nil {
		if err := json.Unmarshal(raw, cfg); err != nil {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
	}
	return cfg, nil
}

// online carries the operation out in the running gateway. Where there is none, why says so.
func (f *flags) online(cfg *gatewayConfig, op string, in adminRequest) (answer *adminAnswer, by string, why, err error) {
	address, why := f.adminAddress(cfg)
	if why != nil {
		return nil, "", why, nil
	}
	answer, err = ask(address, op, in)
	if errors.Is(err, errNoGateway) {
		return nil, "", noGatewayAt(address), nil
	}
	return answer, "Answered by the gateway at " + address + ".", nil, err
}

// adminAddress returns where the running gateway is asked, or why nowhere.
func (f *flags) adminAddress(cfg *gatewayConfig) (string, error) {
	switch {
	case f.address != "":
		return f.address, nil
	case cfg.Admin.Disabled:
		return "", errors.New("the configuration switches the admin endpoint off")
	case cfg.Admin.Listen != "":
		return cfg.Admin.Listen, nil
	}
	return caddy.DefaultAdminListen, nil
}

// loadConfig returns the gateway's configuration as JSON, or nil where none is
// named and none is here. It is what caddycmd.LoadConfig does, without the log
// lines that would stand before each answer.
func (f *flags) loadConfig() ([]byte, error) {
	file, adapter := f.config, f.adapter
	if file == "" {
		file = "Caddyfile"
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if base := strings.ToLower(filepath.Base(file)); adapter == "" && !strings.HasSuffix(base, ".json") &&
		(strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile")) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		return raw, nil
	}
	a := caddyconfig.GetAdapter(adapter)
	if a == nil {
		return nil, fmt.Errorf("there is no adapter %q", adapter)
	}
	out, _, err := a.Adapt(raw, map[string]any{"filename": file})
	return out, err
}

// errNoGateway says that nobody listens at the admin endpoint.
var errNoGateway = errors.New("no gateway answers")

func noGatewayAt(address string) error {
	return fmt.Errorf("no gateway answers at the admin endpoint %s", address)
}

// ask sends the operation to the admin endpoint.
func ask(address, op string, in adminRequest) (*adminAnswer, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	resp, err := caddycmd.AdminAPIRequest(address, http.MethodPost, adminBase+op, nil, bytes.NewReader(body))
	if err != nil {
		return nil, askError(address, err)
	}
	defer resp.Body.Close()
	answer := new(adminAnswer)
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return nil, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return answer, nil
}

// askError turns what Caddy makes of a failed request back into what failed.
func askError(address string, err error) error {
	text, answered := strings.CutPrefix(err.Error(), "caddy responded with error: HTTP ")
	if !answered {
		if strings.HasPrefix(err.Error(), "performing request: ") {
			return errNoGateway
		}
		return err
	}
	status, body, _ := strings.Cut(text, ": ")
	var problem struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(body), &problem) != nil || problem.Error == "" {
		return &commandError{exitUnreachable, fmt.Sprintf("what answers at the admin endpoint %s is a Caddy without mfa, or something else (HTTP %s)", address, status)}
	}
	code, _ := strconv.Atoi(status)
	switch code {
	case http.StatusNotFound:
		return &commandError{exitNotFound, problem.Error}
	case http.StatusConflict, http.StatusBadRequest:
		return &commandError{exitRefused, problem.Error}
	case http.StatusServiceUnavailable:
		return &commandError{exitUnreachable, problem.Error}
	}
	return errors.New(problem.Error)
}

// offline carries the operation out on the store, while no gateway has it open.
func (f *flags) offline(ctx context.Context, cfg *gatewayConfig, why error, op string, in adminRequest) (answer *adminAnswer, place string, err error) {
	if op == opDoctor || op == opProbe || op == opProbed {
		return nil, "", &commandError{exitUnreachable, fmt.Sprintf("%v; %v", why, errNoDoctor)}
	}
	d, place, closeStore, err := openDesk(ctx, cfg, why)
	if err != nil {
		return nil, "", err
	}
	if f.told != nil {
		d.told = f.told
	}
	answer, err = d.perform(ctx, op, in)
	if closeErr := closeStore(); err == nil && closeErr != nil {
		return nil, "", closeErr
	}
	if err != nil {
		return nil, "", offlineError(err)
	}
	return answer, place, nil
}

// alone provisions the configuration of mfa for a command, without a gateway. end lets go of
// what it holds.
func alone(ctx context.Context, cfg *gatewayConfig) (app *App, end func(), err error) {
	app = new(App)
	if cfg.Apps.MFA != nil {
		if err := json.Unmarshal(cfg.Apps.MFA, app); err != nil {
			return nil, nil, fmt.Errorf("reading the configuration of mfa: %w", err)
		}
	}
	app.alone = true
	cctx, cancel := caddy.NewContext(caddy.Context{Context: ctx})
	if err := app.Provision(cctx); err != nil {
		cancel()
		return nil, nil, fmt.Errorf("reading the configuration of mfa: %w", err)
	}
	return app, cancel, nil
}

// toStderr is where a store that a command opens says what goes wrong.
func toStderr() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// openDesk opens the store for operations while no gateway has it open, and says where it
// is. close has to be called; before it has returned nil, nothing is sure to be kept.
func openDesk(ctx context.Context, cfg *gatewayConfig, why error) (d desk, place string, closeStore func() error, err error) {
	app, end, err := alone(ctx, cfg)
	if err != nil {
		return desk{}, "", nil, err
	}
	defer func() {
		if err != nil {
			end()
		}
	}()
	if made, err := app.store.exists(ctx); err != nil {
		return desk{}, "", nil, &commandError{exitUnreachable, fmt.Sprintf("%v, and the store cannot be looked at: %v", why, err)}
	} else if !made {
		return desk{}, "", nil, &commandError{exitUnreachable, fmt.Sprintf("%v, and there is no store yet (%s): start the gateway once, or name its configuration with --config", why, app.store.place())}
	}
	opened, keys, err := app.store.open(ctx, toStderr())
	switch {
	case errors.Is(err, badger.ErrInUse):
		return desk{}, "", nil, &commandError{exitUnreachable, fmt.Sprintf("%v; %v. If a gateway is running, switch its admin endpoint on or name it with --address; otherwise stop whatever holds the store", why, err)}
	case err != nil:
		return desk{}, "", nil, &commandError{exitUnreachable, fmt.Sprintf("%v; %v", why, err)}
	}
	recorder := store.OpenRecorder(opened, store.RecorderOptions{Now: clock.Now})
	events := manyEvents{logEvents{logger: caddy.Log().Named("mfa")}, recorder}
	policies, err := newPolicies(app, opened, events)
	if err != nil {
		return desk{}, "", nil, errors.Join(err, recorder.Close(ctx), opened.Close())
	}
	gate, err := newGate(app, opened, keys, events, policies, nil, func() sites { return cfg.sites(app) }, nil)
	if err != nil {
		policies.Close()
		return desk{}, "", nil, errors.Join(err, recorder.Close(ctx), opened.Close())
	}
	closeStore = func() error {
		defer end()
		err := recorder.Close(ctx)
		policies.Close()
		if closeErr := opened.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("closing the store: %w", closeErr))
		}
		return err
	}
	d = newDesk(gate, policies, cfg.sites(app))
	d.copied = copied{kindOf(app.store), opened, keys}
	ring := newKeyring(opened, keys, slog.New(slog.DiscardHandler))
	ring.lives(app.absolute())
	d.rotation, d.told = ring.rotation, func(*store.RotationStatus) {}
	return d, app.store.place(), closeStore, nil
}

func offlineError(err error) error {
	switch statusOf(err) {
	case http.StatusNotFound:
		return &commandError{exitNotFound, err.Error()}
	case http.StatusConflict, http.StatusBadRequest:
		return &commandError{exitRefused, err.Error()}
	}
	return err
}
