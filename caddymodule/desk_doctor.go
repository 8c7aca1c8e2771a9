package caddymodule

import (
	"errors"

	"github.com/secondgate/secondgate/doctor"
)

// errNoDoctor says that nothing runs that the doctor could look at.
var errNoDoctor = errors.New("the doctor looks at a running gateway; start it, or name its admin endpoint with --address")

// probesAtOnce is how many probes one examination needs.
const probesAtOnce = 3

// diagnose examines the configuration, makes the probes with which a host is asked from
// outside, and tells what was seen of one. Nothing is asked from here.
func (d desk) diagnose(op string, in adminRequest) (*adminAnswer, error) {
	if d.doctor == nil {
		return nil, errNoDoctor
	}
	p, ok := doctor.ParseProxy(in.Proxy)
	if !ok {
		return nil, wrong("%q is no kind of proxy that the doctor knows; there are nginx, traefik, caddy, haproxy, envoy and apache", in.Proxy)
	}
	switch op {
	case opProbe:
		if in.Probes < 1 || in.Probes > probesAtOnce {
			return nil, wrong("probes: 1 to %d", probesAtOnce)
		}
		answer := new(adminAnswer)
		for range in.Probes {
			secret, err := probes.Open()
			if err != nil {
				return nil, err
			}
			answer.Probes = append(answer.Probes, secret)
		}
		return answer, nil
	case opProbed:
		return &adminAnswer{Facts: probes.Take(in.Probe)}, nil
	}
	return &adminAnswer{Doctor: d.doctor(p)}, nil
}
