# Completion of ipipou in bash. Made from its tables of commands and options by `npm run docs`.

_ipipou_of() {
  local kind path
  for kind; do
    case $kind in
      config) for path in /etc/ipipou/*.conf; do [[ -e $path ]] && path=${path##*/} && echo "${path%.conf}"; done ;;
      tunnel) for path in /run/ipipou/*/*/; do [[ -d $path ]] && path=${path%/} && echo "${path##*/}"; done ;;
      device) for path in /sys/class/net/*; do echo "${path##*/}"; done ;;
      file) compgen -f -- "$word" ;;
      folder) compgen -d -- "$word" ;;
    esac
  done
}

_ipipou() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command=run first=1 place=0 words='' kinds='' flags='' i
  local valued=' -n --number --config --auth --auth-token --auth-token-b64 --auth-key-b64 --auth-remote-pubkey-b64 --auth-key-type --auth-secret --auth-max-time-discrepancy --auth-packet-ttl --session --integrity --auth-lifetime --connection-idle --keepalive --dead-peer-timeout -b --fou-local --fou-local-ip --fou-family --fou-local-port --fou-dev --fou-local-ip-alt -r --fou-remote --fou-remote-ip --fou-remote-port --tunl-dev --tunl-ip --tunl-peer-ip --allowed-ips --mtu --expose --public-ip --expose-from --return-path --return-path-table --return-path-mark --table --kill-switch --dns --invite-address --invited-until --dataplane -q --queue-number --nfq-max-len --nft-table --pre-up --post-up --pre-down --post-down --peer-up --peer-moved --peer-down --mtu-changed --verify --status-group --verb --wait --limit --color --after --listen --group --address --port --device --inner --expires --server --name --plane --rounds --seconds --only --links --out --slow --clients --dir '
  COMPREPLY=()
  case ${COMP_WORDS[1]} in
    run | up | down | show | status | watch | events | logs | metrics | ui | init | invite | join | set | expose | unexpose | syncconf | reload | save | check | doctor | demo | bench | genconf | keygen | pubkey | service | help | version)
      if ((COMP_CWORD > 1)); then command=${COMP_WORDS[1]} first=2; fi ;;
  esac
  case $command in
    run) flags='-c --client -s --server -n --number --config --reauth-only --version -h --help --auth --auth-by-remote-ip --auth-by-remote-port --auth-token --auth-token-b64 --auth-key-b64 --auth-remote-pubkey-b64 --auth-key-type --auth-secret --auth-keygen --auth-max-time-discrepancy --auth-packet-ttl --reply-on-auth-ok --session --integrity --auth-lifetime --connection-idle --keepalive --dead-peer-timeout -b --fou-local --fou-local-ip --fou-family --fou-local-port --fou-dev --fou-local-ip-alt --force-fou-local-ip-alt -r --fou-remote --fou-remote-ip --fou-remote-port --encap-csum --no-encap-csum --outer-fragments --tunl-dev --tunl-ip --tunl-peer-ip --allowed-ips --mtu --expose --public-ip --expose-from --return-path --return-path-table --return-path-mark --table --kill-switch --dns --masquerade --invite-address --invited-until --dataplane -q --queue-number --nfq-max-len --nft-table --no-nft-counter --pre-up --post-up --pre-down --post-down --peer-up --peer-moved --peer-down --mtu-changed --verify --status-group --verb -v --no-log-time --no-log-pid' ;;
    up) flags='--wait' ;;
    down) flags='' ;;
    show) flags='--limit --color --json --after' ;;
    status) flags='--every-peer' ;;
    watch) flags='--color' ;;
    events) flags='--debug --json' ;;
    logs) flags='-f -n' ;;
    metrics) flags='--no-peers --openmetrics --listen' ;;
    ui) flags='--listen --group' ;;
    init) flags='--address --port --device --inner --no-start' ;;
    invite) flags='--expose --expires --server --print --list --revoke' ;;
    join) flags='--name' ;;
    set) flags='' ;;
    expose) flags='' ;;
    unexpose) flags='' ;;
    syncconf) flags='' ;;
    reload) flags='' ;;
    save) flags='' ;;
    check) flags='' ;;
    doctor) flags='--json' ;;
    demo) flags='--plane' ;;
    bench) flags='--rounds --seconds --only --links --quick --vm --out --json --profile --slow --list --markdown' ;;
    genconf) flags='--address --clients --dir --port --inner' ;;
    keygen) flags='-v' ;;
    pubkey) flags='' ;;
    service) flags='' ;;
    help) flags='--man' ;;
    version) flags='' ;;
  esac
  for ((i = first; i < COMP_CWORD; i++)); do
    if [[ $valued == *" ${COMP_WORDS[i]} "* ]]; then
      ((i++))
    elif [[ ${COMP_WORDS[i]} != -* ]]; then
      ((place++))
    fi
  done
  if [[ " $flags " == *" $before "* && $valued == *" $before "* ]]; then
    case "$command $before" in
      'run --config') kinds='config file' ;;
      'run --auth') words='none' ;;
      'run --auth-key-type') words='ed25519' ;;
      'run --session') words='auto v1 v2' ;;
      'run --integrity') words='none header full' ;;
      'run --fou-family') words='auto ipv4 ipv6' ;;
      'run --fou-dev') kinds='device' ;;
      'run --tunl-dev') kinds='device' ;;
      'run --return-path') words='tunnel route' ;;
      'run --table') words='main auto off' ;;
      'run --kill-switch') words='strict lan off' ;;
      'run --dataplane') words='auto fou bpf tun' ;;
      'init --device') kinds='tunnel' ;;
      'invite --server') kinds='config file tunnel' ;;
      'join --name') kinds='config file' ;;
      'demo --plane') words='auto fou bpf tun' ;;
      'bench --out') kinds='file folder' ;;
    esac
  elif [[ $word == -* ]]; then
    words=$flags
  elif ((COMP_CWORD == 1)); then
    words='run up down show status watch events logs metrics ui init invite join set expose unexpose syncconf reload save check doctor demo bench genconf keygen pubkey service help version'
  else
    case "$command $place" in
      'up 0') kinds='config file' ;;
      'down 0') kinds='config file tunnel' ;;
      'show 0') kinds='config file tunnel' ;;
      'show 1') words='peer' ;;
      'status 0') kinds='config file tunnel' ;;
      'watch 0') kinds='config file tunnel' ;;
      'events 0') kinds='config file tunnel' ;;
      'logs 0') kinds='config file tunnel' ;;
      'init 0') words='server' ;;
      'init 1') kinds='config file' ;;
      'invite 0') kinds='config' ;;
      'set 0') kinds='config file tunnel' ;;
      'set 1') words='peer verb' ;;
      'set 3') words='auth-by-remote-ip auth-by-remote-port auth-token auth-token-b64 auth-key-b64 auth-remote-pubkey-b64 auth-secret auth-max-time-discrepancy auth-packet-ttl reply-on-auth-ok session integrity auth-lifetime connection-idle keepalive dead-peer-timeout fou-remote fou-remote-ip fou-remote-port tunl-peer-ip allowed-ips expose public-ip expose-from invited-until remove' ;;
      'set '*) words='auth-by-remote-ip auth-by-remote-port auth-token auth-token-b64 auth-key-b64 auth-remote-pubkey-b64 auth-secret auth-max-time-discrepancy auth-packet-ttl reply-on-auth-ok session integrity auth-lifetime connection-idle keepalive dead-peer-timeout fou-remote fou-remote-ip fou-remote-port tunl-peer-ip allowed-ips expose public-ip expose-from invited-until' ;;
      'expose 0') kinds='config file tunnel' ;;
      'unexpose 0') kinds='config file tunnel' ;;
      'syncconf 0') kinds='config file tunnel' ;;
      'syncconf 1') kinds='file' ;;
      'reload 0') kinds='config file tunnel' ;;
      'save 0') kinds='config file tunnel' ;;
      'check 0') kinds='config file' ;;
      'doctor 0') kinds='config file tunnel' ;;
      'bench 0') words='show compare charts' ;;
      'bench 1') kinds='file' ;;
      'bench '*) kinds='file' ;;
      'service 0') words='install uninstall' ;;
      'help 0') words='run up down show status watch events logs metrics ui init invite join set expose unexpose syncconf reload save check doctor demo bench genconf keygen pubkey service help version' ;;
    esac
  fi
  # Names of files may have anything in them: they are never given to what expands words.
  local found
  while IFS= read -r found; do
    if [[ $found == "$word"* ]]; then COMPREPLY+=("$found"); fi
  done < <(printf '%s
' $words; _ipipou_of $kinds)
  case " $kinds " in *' file '* | *' folder '*) compopt -o filenames 2> /dev/null ;; esac
}

complete -F _ipipou ipipou
