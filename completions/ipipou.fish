# Completion of ipipou in fish. Made from its tables of commands and options by `npm run docs`.

function __ipipou_of
    for kind in $argv
        switch $kind
            case config
                for path in /etc/ipipou/*.conf
                    string replace -r '^.*/(.*)\.conf$' '$1' -- $path
                end
            case tunnel
                for path in /run/ipipou/*/*/
                    string replace -r '^.*/([^/]*)/$' '$1' -- $path
                end
            case device
                for path in /sys/class/net/*
                    string replace -r '^.*/' '' -- $path
                end
        end
    end
end

# The command that the line names, else run.
function __ipipou_command
    set -l tokens (commandline -opc)
    if contains -- "$tokens[2]" run up down show status watch events logs metrics ui init invite join set expose unexpose syncconf reload save check doctor demo bench genconf keygen pubkey service help version
        echo $tokens[2]
    else
        echo run
    end
end

function __ipipou_is
    test (__ipipou_command) = $argv[1]
end

# Whether the word is in that place among those of that command which are no flags; '+': there or behind.
function __ipipou_at
    __ipipou_is $argv[1]; or return 1
    set -l tokens (commandline -opc)
    set -l place 0
    set -l value no
    for token in $tokens[3..]
        if test $value = yes
            set value no
        else if contains -- $token -n --number --config --auth --auth-token --auth-token-b64 --auth-key-b64 --auth-remote-pubkey-b64 --auth-key-type --auth-secret --auth-max-time-discrepancy --auth-packet-ttl --session --integrity --auth-lifetime --connection-idle --keepalive --dead-peer-timeout -b --fou-local --fou-local-ip --fou-family --fou-local-port --fou-dev --fou-local-ip-alt -r --fou-remote --fou-remote-ip --fou-remote-port --tunl-dev --tunl-ip --tunl-peer-ip --allowed-ips --mtu --expose --public-ip --expose-from --return-path --return-path-table --return-path-mark --table --kill-switch --dns --invite-address --invited-until --dataplane -q --queue-number --nfq-max-len --nft-table --pre-up --post-up --pre-down --post-down --peer-up --peer-moved --peer-down --mtu-changed --verify --status-group --verb --wait --limit --color --after --listen --group --address --port --device --inner --expires --server --name --plane --rounds --seconds --only --links --out --slow --clients --dir
            set value yes
        else if not string match -q -- '-*' $token
            set place (math $place + 1)
        end
    end
    test $place -eq $argv[2]; or test "$argv[3]" = + -a $place -gt $argv[2]
end

complete -c ipipou -f
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a run -d 'run a tunnel in the foreground (what happens without a command)'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a up -d 'start a tunnel in the background'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a down -d 'take a tunnel down'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a show -d 'show the tunnels of this network namespace, and their peers'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a status -d 'say in one line and by the exit code whether a tunnel works'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a watch -d 'show the tunnels of this network namespace live, with what passes now'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a events -d 'follow what happens to the tunnels of this network namespace'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a logs -d 'show a tunnel\'s log, wherever it is'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a metrics -d 'tell Prometheus how the tunnels of this network namespace are'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a ui -d 'show the tunnels of this network namespace on a web page'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a init -d 'make a server: its config with fresh keys, and start it'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a invite -d 'add a client to a server, by one line to run there'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a join -d 'make a client of a server by the code of an invitation'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a set -d 'add, change or remove one peer of a running tunnel, or change how much it logs'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a expose -d 'expose services of a peer of a running server'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a unexpose -d 'expose services of a peer no longer'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a syncconf -d 'make a running tunnel\'s peers those of a file'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a reload -d 'read a tunnel\'s config again; a client also authenticates again'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a save -d 'write a running tunnel\'s live changes into its file'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a check -d 'say what is wrong with a config, or unwise'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a doctor -d 'say what this machine has and lacks, or what is wrong with a tunnel'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a demo -d 'show tunnels through a NAT at work, in namespaces of this machine'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a bench -d 'measure tunnels of many kinds against each other, in namespaces of this machine'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a genconf -d 'make the files of a server and its clients, with fresh keys'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a keygen -d 'make a key pair'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a pubkey -d 'print the public key of a private key'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a service -d 'install or remove the systemd units'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a help -d 'list commands and options, or explain a command'
complete -c ipipou -n 'test (count (commandline -opc)) -eq 1' -a version -d 'print the version'
complete -c ipipou -n '__ipipou_is run' -s c -l client -d 'Be the client: the side that authenticates, usually behind NAT.'
complete -c ipipou -n '__ipipou_is run' -s s -l server -d 'Be the server: the side that waits. Implied by any server-only option.'
complete -c ipipou -n '__ipipou_is run' -s n -l number -x -d 'The number N that the defaults of ports, addresses, queue and device count from.'
complete -c ipipou -n '__ipipou_is run' -l config -x -F -a '(__ipipou_of config)' -d 'Read options from /etc/ipipou/NAME.conf, or from NAME itself if it begins with /, ./ or ../. Later files win over earlier ones, the command line over all.'
complete -c ipipou -n '__ipipou_is run' -l reauth-only -d 'Send one authentication packet for a tunnel that is up already, and exit.'
complete -c ipipou -n '__ipipou_is run' -l version -d 'Show the version.'
complete -c ipipou -n '__ipipou_is run' -s h -l help -d 'Show this help.'
complete -c ipipou -n '__ipipou_is run' -l auth -x -a 'none' -d 'Take whoever sends a packet for the client: no authentication at all.'
complete -c ipipou -n '__ipipou_is run' -l auth-by-remote-ip -d 'Accept only fou-remote-ip as source address; adds to the other schemes.'
complete -c ipipou -n '__ipipou_is run' -l auth-by-remote-port -d 'Accept only fou-remote-port as source port; adds to the other schemes.'
complete -c ipipou -n '__ipipou_is run' -l auth-token -x -d 'Authenticate by this token, sent as plain text; best at most 548 bytes.'
complete -c ipipou -n '__ipipou_is run' -l auth-token-b64 -x -d 'The same, for a token of any bytes.'
complete -c ipipou -n '__ipipou_is run' -l auth-key-b64 -x -d 'Own private key: what a client authenticates with, and a server signs replies with; of a server for session 2, 8 at most.'
complete -c ipipou -n '__ipipou_is run' -l auth-remote-pubkey-b64 -x -d 'The other side\'s public key: whose packets a server accepts, and whose replies a client accepts.'
complete -c ipipou -n '__ipipou_is run' -l auth-key-type -x -a 'ed25519' -d 'Type of the keys.'
complete -c ipipou -n '__ipipou_is run' -l auth-secret -x -d 'Secret that both sides sign along with keys and never send. Choose your own.'
complete -c ipipou -n '__ipipou_is run' -l auth-keygen -d 'Print a new private key and its public key, a line each (labelled with -v), and exit.'
complete -c ipipou -n '__ipipou_is run' -l auth-max-time-discrepancy -x -d 'Refuse signed packets whose time is further from the own clock than this; 0 = unchecked, for hosts whose clocks are not set.'
complete -c ipipou -n '__ipipou_is run' -l auth-packet-ttl -x -d 'TTL of authentication packets and replies.'
complete -c ipipou -n '__ipipou_is run' -l reply-on-auth-ok -d 'Answer an authentic packet: signed, with auth-key-b64; else with the same bytes in reverse order.'
complete -c ipipou -n '__ipipou_is run' -l session -x -a 'auto v1 v2' -d 'How the two sides agree on a connection. v2: a handshake that proves both, with new keys for every session; v1: signed packets. auto: v2 where auth-key-b64 and auth-remote-pubkey-b64 are given on both sides, else v1.'
complete -c ipipou -n '__ipipou_is run' -l integrity -x -a 'none header full' -d 'What of each packet is proved, at the least, by 16 bytes more in it: header = its first 64 bytes, full = all of it. Needs session v2 and the plane bpf or tun. The stronger wish of the two sides counts.'
complete -c ipipou -n '__ipipou_is run' -l auth-lifetime -x -d 'How long a remembered client may go on without authenticating after its connection expired; 0 = forever.'
complete -c ipipou -n '__ipipou_is run' -l connection-idle -x -d 'Time without a packet from the client after which its connection counts as expired and auth-lifetime starts.'
complete -c ipipou -n '__ipipou_is run' -l keepalive -x -d 'Client: authenticate again so often, which keeps the mapping of a NAT open. Server: send an empty packet so often. 0 = never.'
complete -c ipipou -n '__ipipou_is run' -l dead-peer-timeout -x -d 'Silence of the server, while packets are sent to it, after which it counts as dead: its name is then resolved and it is authenticated to again; 0 = never.'
complete -c ipipou -n '__ipipou_is run' -s b -l fou-local -x -d 'fou-local-ip, fou-local-port and fou-dev in one.'
complete -c ipipou -n '__ipipou_is run' -l fou-local-ip -x -d 'Own address, or one of each family; then no other family is used.'
complete -c ipipou -n '__ipipou_is run' -l fou-family -x -a 'auto ipv4 ipv6' -d 'What the tunnel runs over. With auto, a server listens on both, and a client goes to a name by the family that works.'
complete -c ipipou -n '__ipipou_is run' -l fou-local-port -x -d 'Own UDP port.'
complete -c ipipou -n '__ipipou_is run' -l fou-dev -x -a '(__ipipou_of device)' -d 'The device that packets leave and arrive by.'
complete -c ipipou -n '__ipipou_is run' -l fou-local-ip-alt -x -d 'Private address that stands in for the own one, by NAT, when another tunnel has the same pair of addresses.'
complete -c ipipou -n '__ipipou_is run' -l force-fou-local-ip-alt -d 'Use the alternative address even where it is not needed.'
complete -c ipipou -n '__ipipou_is run' -s r -l fou-remote -x -d 'fou-remote-ip and fou-remote-port in one.'
complete -c ipipou -n '__ipipou_is run' -l fou-remote-ip -x -d 'The other side\'s address or name.'
complete -c ipipou -n '__ipipou_is run' -l fou-remote-port -x -d 'The other side\'s UDP port.'
complete -c ipipou -n '__ipipou_is run' -l encap-csum -d 'Put UDP checksums on tunnelled packets: for NATs, and translators between IPv4 and IPv6 (NAT64, 464XLAT), that drop packets without. On fou not where a NAT runs in the same kernel or on the host of this guest: Linux spoils them there.'
complete -c ipipou -n '__ipipou_is run' -l no-encap-csum -d 'Send tunnelled packets without UDP checksums, also over IPv6 (RFC 6935).'
complete -c ipipou -n '__ipipou_is run' -l outer-fragments -d 'With `mtu N`, as 1500: over IPv4, what does not fit the path is sent in fragments that the other end puts together. On both ends, on fou or tun. It costs speed, and is lost where fragments are dropped.'
complete -c ipipou -n '__ipipou_is run' -l tunl-dev -x -a '(__ipipou_of device)' -d 'Name of the tunnel device.'
complete -c ipipou -n '__ipipou_is run' -l tunl-ip -x -d 'Own address inside the tunnel, or one of each family: these families it carries.'
complete -c ipipou -n '__ipipou_is run' -l tunl-peer-ip -x -d 'The other side\'s address inside the tunnel, or one of each family.'
complete -c ipipou -n '__ipipou_is run' -l allowed-ips -x -d 'Networks behind the other side: it may send from them, and what is sent to them goes to it, the longest prefix first. tunl-peer-ip is always among them.'
complete -c ipipou -n '__ipipou_is run' -l mtu -x -d 'MTU of the tunnel device; auto: that of the path, which is probed and followed, and where that cannot be done it is said.'
complete -c ipipou -n '__ipipou_is run' -l expose -x -d 'Services of the peer\'s that visitors reach at this host\'s addresses, and that see the visitors\' own addresses: [IP:]PROTOCOL/PORT[-PORT][:TARGET][:PORT], or [IP:]all[:TARGET] for every port that nothing else on this host has. TARGET is a host behind the peer, of its allowed-ips. Behind a service stand its limits: `from PREFIXES` instead of expose-from, `rate N` new connections a second (none: any; without, 1000), of one visitor a quarter of that; `connections N` at one time.'
complete -c ipipou -n '__ipipou_is run' -l public-ip -x -d 'Public addresses that are the peer\'s own, of a client its own (the same at both ends): whatever comes to them goes there, and what is sent from them leaves by the server. They are routed to the server, or of a network of its.'
complete -c ipipou -n '__ipipou_is run' -l expose-from -x -d 'Where visitors of the exposed services may come from; those with a `from` of their own have that.'
complete -c ipipou -n '__ipipou_is run' -l return-path -x -a 'tunnel route' -d 'With tunnel, what comes in by the tunnel is answered by it, by this host and by those behind it, whatever its default route is: for services that the server exposes.'
complete -c ipipou -n '__ipipou_is run' -l return-path-table -x -d 'Number of the routing table of return-path.'
complete -c ipipou -n '__ipipou_is run' -l return-path-mark -x -d 'Mark of the connections, and packets, of return-path: only the bits of MASK are touched.'
complete -c ipipou -n '__ipipou_is run' -l table -x -a 'main auto off' -d 'Where the routes to allowed-ips are made. main: in the main table, but none that could take the outer packets of the tunnel in. auto: those as well (0.0.0.0/0, ::/0), in a table of their own by rules of policy routing, which keep the outer path outside. A number: all in that table, without rules. off: none.'
complete -c ipipou -n '__ipipou_is run' -l kill-switch -x -a 'strict lan off' -d 'Let nothing leave this host but by the tunnel, from before its start until `ipipou down`, also while it is dead: strict passes the tunnel\'s own packets to fou-remote, which must be an address, DHCP and what IPv6 needs on a link; lan passes private addresses as well.'
complete -c ipipou -n '__ipipou_is run' -l dns -x -d 'Name servers that this host asks while the tunnel is up, by systemd-resolved or else resolvconf; with domains (~example.com) they are asked for these alone, where systemd-resolved runs.'
complete -c ipipou -n '__ipipou_is run' -l masquerade -d 'Forward what comes out of the tunnel for others than this host, with this host\'s address: for clients with table auto.'
complete -c ipipou -n '__ipipou_is run' -l invite-address -x -d 'Where clients reach this server, for the codes of `ipipou invite`: also another address or port than its own, where a NAT stands before it. A server that says so may be without peers.'
complete -c ipipou -n '__ipipou_is run' -l invited-until -x -d 'The peer is an invitation until then: its public key admits nobody, but lets a client register its own once, which then takes its place. Written by `ipipou invite`.'
complete -c ipipou -n '__ipipou_is run' -l dataplane -x -a 'auto fou bpf tun' -d 'What carries the packets: fou is the kernel\'s Foo-over-UDP, bpf programs of this program in the kernel, tun is user space; auto takes the best that works here and says which.'
complete -c ipipou -n '__ipipou_is run' -s q -l queue-number -x -d 'NFQUEUE number; a server has the one that differs by 49152 as well, for strangers, and for session 2 that which differs by 32768. With N 0 and 1 to 999 here, N becomes this.'
complete -c ipipou -n '__ipipou_is run' -l nfq-max-len -x -d 'How many packets may wait in the queue; more are dropped.'
complete -c ipipou -n '__ipipou_is run' -l nft-table -x -d 'nftables table (family ip) to keep rules in; tunnels may share one.'
complete -c ipipou -n '__ipipou_is run' -l no-nft-counter -d 'Leave counters out of the nftables rules.'
complete -c ipipou -n '__ipipou_is run' -l pre-up -x -d 'Before anything is made; where it fails, the tunnel is not started.'
complete -c ipipou -n '__ipipou_is run' -l post-up -x -d 'When the tunnel is ready.'
complete -c ipipou -n '__ipipou_is run' -l pre-down -x -d 'Before the tunnel is taken down.'
complete -c ipipou -n '__ipipou_is run' -l post-down -x -d 'When it has been taken down.'
complete -c ipipou -n '__ipipou_is run' -l peer-up -x -d 'When a peer has proved itself.'
complete -c ipipou -n '__ipipou_is run' -l peer-moved -x -d 'When a peer has come to another endpoint.'
complete -c ipipou -n '__ipipou_is run' -l peer-down -x -d 'When a peer has fallen silent, or is gone.'
complete -c ipipou -n '__ipipou_is run' -l mtu-changed -x -d 'When another size of packets passes to a peer.'
complete -c ipipou -n '__ipipou_is run' -l verify -x -d 'Server: before a peer that has proved itself is let in at an endpoint; where it fails, the peer stays out.'
complete -c ipipou -n '__ipipou_is run' -l status-group -x -d 'Members of this group of the system may run show, status, events and watch without being root: they are told, and change nothing. none: root alone.'
complete -c ipipou -n '__ipipou_is run' -l verb -x -d 'How much to log: 0 errors, 1 warnings, 2 information, 3 everything.'
complete -c ipipou -n '__ipipou_is run' -s v -d 'Log one level more; may be repeated, up to 3.'
complete -c ipipou -n '__ipipou_is run' -l no-log-time -d 'Leave the time out of log lines.'
complete -c ipipou -n '__ipipou_is run' -l no-log-pid -d 'Leave the process number out of log lines.'
complete -c ipipou -n '__ipipou_is up' -l wait -x
complete -c ipipou -n '__ipipou_at up 0' -F -a '(__ipipou_of config)'
complete -c ipipou -n '__ipipou_at down 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is show' -l limit -x
complete -c ipipou -n '__ipipou_is show' -l color -x
complete -c ipipou -n '__ipipou_is show' -l json
complete -c ipipou -n '__ipipou_is show' -l after -x
complete -c ipipou -n '__ipipou_at show 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at show 1' -a 'peer'
complete -c ipipou -n '__ipipou_is status' -l every-peer
complete -c ipipou -n '__ipipou_at status 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is watch' -l color -x
complete -c ipipou -n '__ipipou_at watch 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is events' -l debug
complete -c ipipou -n '__ipipou_is events' -l json
complete -c ipipou -n '__ipipou_at events 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is logs' -s f
complete -c ipipou -n '__ipipou_is logs' -s n -x
complete -c ipipou -n '__ipipou_at logs 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is metrics' -l no-peers
complete -c ipipou -n '__ipipou_is metrics' -l openmetrics
complete -c ipipou -n '__ipipou_is metrics' -l listen -x
complete -c ipipou -n '__ipipou_is ui' -l listen -x
complete -c ipipou -n '__ipipou_is ui' -l group -x
complete -c ipipou -n '__ipipou_is init' -l address -x
complete -c ipipou -n '__ipipou_is init' -l port -x
complete -c ipipou -n '__ipipou_is init' -l device -x -a '(__ipipou_of tunnel)'
complete -c ipipou -n '__ipipou_is init' -l inner -x
complete -c ipipou -n '__ipipou_is init' -l no-start
complete -c ipipou -n '__ipipou_at init 0' -a 'server'
complete -c ipipou -n '__ipipou_at init 1' -F -a '(__ipipou_of config)'
complete -c ipipou -n '__ipipou_is invite' -l expose -x
complete -c ipipou -n '__ipipou_is invite' -l expires -x
complete -c ipipou -n '__ipipou_is invite' -l server -x -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is invite' -l print
complete -c ipipou -n '__ipipou_is invite' -l list
complete -c ipipou -n '__ipipou_is invite' -l revoke
complete -c ipipou -n '__ipipou_at invite 0' -a '(__ipipou_of config)'
complete -c ipipou -n '__ipipou_is join' -l name -x -F -a '(__ipipou_of config)'
complete -c ipipou -n '__ipipou_at set 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at set 1' -a 'peer verb'
complete -c ipipou -n '__ipipou_at set 3' -a 'auth-by-remote-ip auth-by-remote-port auth-token auth-token-b64 auth-key-b64 auth-remote-pubkey-b64 auth-secret auth-max-time-discrepancy auth-packet-ttl reply-on-auth-ok session integrity auth-lifetime connection-idle keepalive dead-peer-timeout fou-remote fou-remote-ip fou-remote-port tunl-peer-ip allowed-ips expose public-ip expose-from invited-until remove'
complete -c ipipou -n '__ipipou_at set 4 +' -a 'auth-by-remote-ip auth-by-remote-port auth-token auth-token-b64 auth-key-b64 auth-remote-pubkey-b64 auth-secret auth-max-time-discrepancy auth-packet-ttl reply-on-auth-ok session integrity auth-lifetime connection-idle keepalive dead-peer-timeout fou-remote fou-remote-ip fou-remote-port tunl-peer-ip allowed-ips expose public-ip expose-from invited-until'
complete -c ipipou -n '__ipipou_at expose 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at unexpose 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at syncconf 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at syncconf 1' -F
complete -c ipipou -n '__ipipou_at reload 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at save 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_at check 0' -F -a '(__ipipou_of config)'
complete -c ipipou -n '__ipipou_is doctor' -l json
complete -c ipipou -n '__ipipou_at doctor 0' -F -a '(__ipipou_of config tunnel)'
complete -c ipipou -n '__ipipou_is demo' -l plane -x -a 'auto fou bpf tun'
complete -c ipipou -n '__ipipou_is bench' -l rounds -x -d 'how often everybody has a turn (4)'
complete -c ipipou -n '__ipipou_is bench' -l seconds -x -d 'of one measurement (1)'
complete -c ipipou -n '__ipipou_is bench' -l only -x -d 'these contestants; --list names them'
complete -c ipipou -n '__ipipou_is bench' -l links -x -d 'these links: super, frames, gigabit, slow, ipv6, and the sweeps'
complete -c ipipou -n '__ipipou_is bench' -l quick -d 'a short look at everybody, in less than three minutes'
complete -c ipipou -n '__ipipou_is bench' -l vm -d 'in a virtual machine with Debian\'s kernel (in a clone only)'
complete -c ipipou -n '__ipipou_is bench' -l out -x -F
complete -c ipipou -n '__ipipou_is bench' -l json
complete -c ipipou -n '__ipipou_is bench' -l profile -d 'also where each one\'s time goes, by perf'
complete -c ipipou -n '__ipipou_is bench' -l slow -x -d 'slows one on purpose, to M Mbit/s: the table must show it'
complete -c ipipou -n '__ipipou_is bench' -l list
complete -c ipipou -n '__ipipou_is bench' -l markdown
complete -c ipipou -n '__ipipou_at bench 0' -a 'show compare charts'
complete -c ipipou -n '__ipipou_at bench 1' -F
complete -c ipipou -n '__ipipou_at bench 2 +' -F
complete -c ipipou -n '__ipipou_is genconf' -l address -x
complete -c ipipou -n '__ipipou_is genconf' -l clients -x
complete -c ipipou -n '__ipipou_is genconf' -l dir -x
complete -c ipipou -n '__ipipou_is genconf' -l port -x
complete -c ipipou -n '__ipipou_is genconf' -l inner -x
complete -c ipipou -n '__ipipou_is keygen' -s v
complete -c ipipou -n '__ipipou_at service 0' -a 'install uninstall'
complete -c ipipou -n '__ipipou_is help' -l man
complete -c ipipou -n '__ipipou_at help 0' -a 'run up down show status watch events logs metrics ui init invite join set expose unexpose syncconf reload save check doctor demo bench genconf keygen pubkey service help version'
