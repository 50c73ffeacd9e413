/** What the bundles of sysctls hold. */
import { SysctlBundle } from "../../gen/cairn/v1/host_kinds_pb.ts";

const router: Readonly<Record<string, string>> = {
  "net.ipv4.ip_forward": "1",
  "net.ipv6.conf.all.forwarding": "1",
  // Ways to and from need not be the same on a router; who wants the check sets it on the links at the edge.
  "net.ipv4.conf.all.rp_filter": "0",
  "net.ipv4.conf.default.rp_filter": "0",
  // Marks count when the source of a packet is checked, as policy rules go by them.
  "net.ipv4.conf.all.src_valid_mark": "1",
  "net.ipv4.conf.all.send_redirects": "0",
  "net.ipv4.conf.default.send_redirects": "0",
  "net.ipv4.conf.all.accept_redirects": "0",
  "net.ipv4.conf.default.accept_redirects": "0",
  "net.ipv6.conf.all.accept_redirects": "0",
  "net.ipv6.conf.default.accept_redirects": "0",
  "net.ipv4.conf.all.accept_source_route": "0",
  "net.ipv4.conf.default.accept_source_route": "0",
  // Flows that have ports are spread over equal ways by them.
  "net.ipv4.fib_multipath_hash_policy": "1",
  "net.ipv6.fib_multipath_hash_policy": "1",
  "net.ipv4.tcp_mtu_probing": "1",
  "net.ipv6.route.max_size": "2147483647",
  "net.ipv4.neigh.default.gc_thresh1": "4096",
  "net.ipv4.neigh.default.gc_thresh2": "8192",
  "net.ipv4.neigh.default.gc_thresh3": "16384",
  "net.ipv6.neigh.default.gc_thresh1": "4096",
  "net.ipv6.neigh.default.gc_thresh2": "8192",
  "net.ipv6.neigh.default.gc_thresh3": "16384",
  "net.core.netdev_max_backlog": "5000",
  "net.netfilter.nf_conntrack_acct": "1",
};

const host: Readonly<Record<string, string>> = {
  "net.ipv4.ip_forward": "0",
  "net.ipv6.conf.all.forwarding": "0",
  "net.ipv4.conf.all.rp_filter": "1",
  "net.ipv4.conf.default.rp_filter": "1",
  "net.ipv4.conf.all.send_redirects": "0",
  "net.ipv4.conf.default.send_redirects": "0",
  "net.ipv4.conf.all.accept_redirects": "0",
  "net.ipv4.conf.default.accept_redirects": "0",
  "net.ipv6.conf.all.accept_redirects": "0",
  "net.ipv6.conf.default.accept_redirects": "0",
  "net.ipv4.conf.all.accept_source_route": "0",
  "net.ipv4.conf.default.accept_source_route": "0",
  "net.ipv4.icmp_echo_ignore_broadcasts": "1",
  "net.ipv4.tcp_syncookies": "1",
};

export const bundles: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  [SysctlBundle.ROUTER]: router,
  [SysctlBundle.HOST]: host,
};
