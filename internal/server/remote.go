package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// remote is the address of whoever asks. Behind proxies of Config.Proxies it is
// the last one in X-Forwarded-For that is not such a proxy's: what stands before
// it may be made up. "": there is none, as for requests of this process.
func (s *Server) remote(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	at := from.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !slices.ContainsFunc(s.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(at) }) {
			break
		}
		hop = strings.TrimSpace(hop)
		next, err := netip.ParseAddr(hop)
		if withPort, bad := netip.ParseAddrPort(hop); err != nil && bad == nil {
			next, err = withPort.Addr(), nil
		}
		if err != nil {
			break
		}
		at = next.Unmap().WithZone("")
	}
	return at.String()
}
