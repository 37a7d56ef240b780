#!/bin/sh
# The guest's side: POSIX sh, busybox's too. This text is constant. Whatever comes from outside arrives as arguments
# and on standard input, and is used in quotes alone. Functions of the format in charge stand above: release, check,
# apply, renew, and probe_NAME of every format.
set -u
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
KEEP=/run/gantry-network
PATIENCE_S=20

# survey FORMATS -- FILES: print every link, every format that is in use, and the files.
survey() {
    for link in /sys/class/net/*; do
        [ -e "$link/address" ] || continue
        kind=virtual master=
        [ -e "$link/device" ] && kind=hardware
        [ -e "$link/master" ] && master=$(basename "$(readlink "$link/master")")
        echo "link $kind ${link##*/} $(cat "$link/address") $master"
    done
    while [ "$1" != -- ]; do
        if "probe_$1" >/dev/null 2>&1; then echo "format $1"; fi
        shift
    done
    shift
    for pattern; do
        for file in $pattern; do
            [ -f "$file" ] && not_generated "$file" && echo "file $file $(base64 <"$file" | tr -d '\n')"
        done
    done
    return 0
}

# A resolv.conf that a program of the guest writes is not ours to change.
not_generated() {
    [ "$1" != /etc/resolv.conf ] && return 0
    [ ! -L "$1" ] && ! command -v resolvconf >/dev/null
}

# inject NAMES: standard input says what to write and what has to be true afterwards:
#   file MODE PATH BASE64 | address NAME CIDR | route FAMILY NAME DESTINATION GATEWAY | end
# Either all of it is in effect, or the guest's network is as it was.
inject() {
    order=$(cat)
    [ "$(echo "$order" | tail -n 1)" = end ] || { echo "the order did not arrive whole" >&2; return 1; }
    lock || return 1
    echo "$order" >"$KEEP/order"
    remember "$@"
    release "$@"
    if write && check && apply "$@" && settled; then
        rm -rf "$KEEP"
        return 0
    fi
    release "$@"
    put_back
    apply "$@" >/dev/null 2>&1
    restore "$@"
    rm -rf "$KEEP"
    return 1
}

# reset NAMES: down, up, and set anew; what no program sets anew is put back.
reset() {
    lock || return 1
    remember "$@"
    release "$@"
    for name; do ip link set dev "$name" down; done
    sleep 1
    for name; do ip link set dev "$name" up || failed=1; done
    renew "$@" || true
    waited=0
    while lacking "$@" && [ "$waited" -lt "$PATIENCE_S" ]; do sleep 1; waited=$((waited + 1)); done
    lacking "$@" && restore "$@"
    rm -rf "$KEEP"
    [ -z "${failed-}" ]
}

# One change at a time: an earlier one may be still at work when whoever had asked for it is gone.
lock() {
    waited=0
    until mkdir "$KEEP" 2>/dev/null; do
        holder=$(cat "$KEEP/pid" 2>/dev/null)
        if [ -n "$holder" ] && ! kill -0 "$holder" 2>/dev/null; then rm -rf "$KEEP"; continue; fi
        [ "$waited" -lt 60 ] || { echo "another change of the network is going on: $KEEP" >&2; return 1; }
        sleep 1
        waited=$((waited + 1))
    done
    echo $$ >"$KEEP/pid"
}

write() {
    while read -r kind mode path text; do
        [ "$kind" = file ] || continue
        number=$((${number-0} + 1))
        if [ -e "$path" ]; then cp -p "$path" "$KEEP/$number" || return 1; fi
        echo "$number $path" >>"$KEEP/written"
        mkdir -p "${path%/*}" || return 1
        echo "$text" | base64 -d >"$path.gantry-new" || return 1
        chmod "$mode" "$path.gantry-new" && mv "$path.gantry-new" "$path" || return 1
    done <"$KEEP/order"
}

put_back() {
    [ -e "$KEEP/written" ] || return 0
    while read -r number path; do
        rm -f "$path.gantry-new"
        if [ -e "$KEEP/$number" ]; then mv "$KEEP/$number" "$path"; else rm -f "$path"; fi
    done <"$KEEP/written"
}

settled() {
    waited=0
    while absent=$(absent); [ -n "$absent" ]; do
        [ "$waited" -lt "$PATIENCE_S" ] || { echo "not set after $PATIENCE_S s: $absent" >&2; return 1; }
        sleep 1
        waited=$((waited + 1))
    done
}

# Print what the order wants and the kernel does not have.
absent() {
    while read -r kind first second third fourth; do
        case $kind in
        address) has_address "$first" "$second" || echo "$first $second" ;;
        route) has_route "$first" "$second" "$third" "$fourth" || echo "$second $third via $fourth" ;;
        esac
    done <"$KEEP/order" | tr '\n' ' '
}

has_address() {
    ip -o addr show dev "$1" | grep -v -e tentative -e dadfailed | grep -qF " $2 "
}

has_route() {
    ip "-$1" route show | awk -v name="$2" -v to="$3" -v via="$4" '
        $1 == to && $2 == "via" && $3 == via && $4 == "dev" && $5 == name { found = 1 }
        END { exit !found }'
}

# The addresses and routes as the kernel has them, for restore.
remember() {
    for name; do
        ip -o addr show dev "$name" scope global >"$KEEP/$name.addresses"
        for family in 4 6; do
            ip "-$family" route show | grep -E " dev $name( |\$)" | grep -v -e "proto kernel" -e "proto ra" |
                sed -e 's/ linkdown//' -e 's/ dead//' >"$KEEP/$name.routes$family"
        done
    done
}

lacking() {
    for name; do
        if [ -s "$KEEP/$name.addresses" ]; then
            ip -o addr show dev "$name" scope global | grep -q . || return 0
        fi
        for family in 4 6; do
            if [ -s "$KEEP/$name.routes$family" ]; then
                ip "-$family" route show | grep -E " dev $name( |\$)" | grep -v "proto kernel" | grep -q . || return 0
            fi
        done
    done
    return 1
}

# Twice, because a route may lead through another that stands below it.
restore() {
    for name; do
        ip link set dev "$name" up
        while read -r _ _ _ address _; do
            ip addr add "$address" dev "$name" 2>/dev/null
        done <"$KEEP/$name.addresses"
        for family in 4 6 4 6; do
            while read -r route; do
                # shellcheck disable=SC2086  # the words of a route, as ip itself has printed them
                ip "-$family" route replace $route 2>/dev/null
            done <"$KEEP/$name.routes$family"
        done
    done
}

"$@"
