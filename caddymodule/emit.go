package caddymodule

import (
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/secondgate/secondgate/mfa"
)

// emitQueue is how many events wait for slow handlers before more are left out.
const emitQueue = 1024

// emitter hands events to Caddy's event system, where "events" of a Caddyfile may
// act on them. Handlers run one after the other and beside the requests: one that
// runs a program or calls somebody must not keep people waiting.
type emitter struct {
	ctx    caddy.Context
	app    *caddyevents.App
	logger *zap.Logger
	queue  chan mfa.Event
	stop   chan struct{}
	once   sync.Once
}

// newEmitter takes the app of this configuration; nobody is told before start.
func newEmitter(ctx caddy.Context, logger *zap.Logger) (*emitter, error) {
	app, err := ctx.App("events")
	if err != nil {
		return nil, err
	}
	return &emitter{
		ctx: ctx, app: app.(*caddyevents.App), logger: logger,
		queue: make(chan mfa.Event, emitQueue), stop: make(chan struct{}),
	}, nil
}

// emitName is what handlers subscribe to: "mfa_sign_in".
func emitName(e mfa.Event) string { return "mfa_" + string(e.Name) }

func (m *emitter) start() {
	go func() {
		for {
			select {
			case <-m.stop:
				return
			case e := <-m.queue:
				m.app.Emit(m.ctx, emitName(e), eventData(e))
			}
		}
	}()
}

// close leaves out what still waits: its configuration is gone.
func (m *emitter) close() { m.once.Do(func() { close(m.stop) }) }

// emit never waits.
func (m *emitter) emit(e mfa.Event) {
	if !m.app.ShouldEmit(emitName(e)) {
		return
	}
	select {
	case m.queue <- e:
	default:
		counted.eventsLost.WithLabelValues("handlers").Inc()
		m.logger.Warn("an event was not handed on: the handlers of earlier ones are too slow", zap.String("event", emitName(e)))
	}
}

// eventData is the event as handlers see it, under the names of the log's fields.
func eventData(e mfa.Event) map[string]any {
	data := map[string]any{"ok": e.OK, "at": e.At}
	for _, f := range eventFields(e) {
		data[f.key] = f.value
	}
	return data
}
