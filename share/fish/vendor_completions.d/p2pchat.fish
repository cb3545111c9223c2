# Completion of p2pchat, made from its tables of options; also: p2pchat completion fish

function __p2pchat_command
    set -l command
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --accept --ack --admin-group --capacity --certificate --count --cursor --dial-port --from --host --input --interface --join --key --listen-port --name --passphrase-fd --passphrase-file --port --state --timeout --to --transcript --wait
                set skip 1
            case '-?*'
            case '*'
                set -a command $word
        end
    end
    echo "$command"
end

function __p2pchat_in
    string match -qr -- "^$argv( |\$)" (__p2pchat_command)
end

function __p2pchat_at
    test (__p2pchat_command) = "$argv"
end

function __p2pchat_people
    set -l words (commandline -opc)
    set -l at (contains -i -- --state $words)
    and set -l state --state $words[(math $at + 1)]
    p2pchat completion people $state 2>/dev/null
end

complete -c p2pchat -f
complete -c p2pchat -n '__p2pchat_at \'\'' -a server -d 'run the rendezvous server'
complete -c p2pchat -n '__p2pchat_at \'\'' -a peer -d 'run a peer'
complete -c p2pchat -n '__p2pchat_at \'\'' -a join -d 'join a server'
complete -c p2pchat -n '__p2pchat_at \'\'' -a link -d 'print the server\'s join links'
complete -c p2pchat -n '__p2pchat_at \'\'' -a roster -d 'show who is online at the server'
complete -c p2pchat -n '__p2pchat_at \'\'' -a status -d 'say how the running server or peer is'
complete -c p2pchat -n '__p2pchat_at \'\'' -a stop -d 'end the running server or peer'
complete -c p2pchat -n '__p2pchat_at \'\'' -a doctor -d 'look what is wrong with your peer, or your server'
complete -c p2pchat -n '__p2pchat_at \'\'' -a attach -d 'a terminal on the running peer'
complete -c p2pchat -n '__p2pchat_at \'\'' -a send -d 'send a message through the running peer'
complete -c p2pchat -n '__p2pchat_at \'\'' -a recv -d 'print what others said to the running peer'
complete -c p2pchat -n '__p2pchat_at \'\'' -a contact -d 'add, list, remove contacts'
complete -c p2pchat -n '__p2pchat_at \'\'' -a identity -d 'back up who you are'
complete -c p2pchat -n '__p2pchat_at \'\'' -a recover -d 'save what can be read of a damaged database'
complete -c p2pchat -n '__p2pchat_at \'\'' -a notify -d 'when and how you are told of messages'
complete -c p2pchat -n '__p2pchat_at \'\'' -a accept -d 'who may chat with you'
complete -c p2pchat -n '__p2pchat_at \'\'' -a completion -d 'print the completion for a shell'
complete -c p2pchat -n '__p2pchat_at \'\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_at \'\'' -l version -d 'print it and exit'
complete -c p2pchat -n '__p2pchat_at \'\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'\'' -l plain -d 'lines only, nothing drawn: for screen readers and braille displays'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l state -x -a '(__fish_complete_directories)' -d 'the server\'s directory'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l port -x -d 'where peers connect (default: 8888; 0: any)'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l interface -x -d 'listen on this address alone (default: all)'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l host -x -d 'name or address for the links; repeatable'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l certificate -r -F -d 'a certificate by an authority, with its chain'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l key -r -F -d 'the private key of --certificate'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l capacity -x -d 'most peers online (default: 4096)'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l open -d 'admit public addresses too, not just private ones'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l admin-group -x -d 'a group that may use the local socket too'
complete -c p2pchat -n '__p2pchat_in \'server\'' -l print-unit -d 'print a systemd unit for this installation'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l name -x -d 'what you are called there'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l join -x -d 'join this server too; repeatable'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l listen-port -x -d 'where other peers connect (default: 6666)'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l dial-port -x -d 'source port (default: 7777; 0: any)'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l interface -x -d 'listen on this address alone (default: all)'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l accept -x -a 'ask contacts all' -d 'requests to chat: ask, contacts, or all (default: as p2pchat accept)'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l to -x -a '(__p2pchat_people)' -d 'connect to this contact or id'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l trust-first -d 'take whoever has the name --to now'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l plain -d 'lines only, nothing drawn: for screen readers and braille displays'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l input -r -F -d 'send every line of it to --to, then end; -: standard input'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l transcript -r -F -d 'write both sides of all chats there as they happen'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l timeout -x -d 'exit with 3 if it is not delivered by then'
complete -c p2pchat -n '__p2pchat_in \'peer\'' -l print-unit -d 'print a systemd unit for this installation'
complete -c p2pchat -n '__p2pchat_in \'join\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'join\'' -l name -x -d 'what you are called there'
complete -c p2pchat -n '__p2pchat_in \'join\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_in \'link\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'link\'' -l state -x -a '(__fish_complete_directories)' -d 'the server\'s directory'
complete -c p2pchat -n '__p2pchat_in \'roster\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'roster\'' -l watch -d 'go on and show changes, until Ctrl-C'
complete -c p2pchat -n '__p2pchat_in \'roster\'' -l json -d 'for programs: JSON, one object a line'
complete -c p2pchat -n '__p2pchat_in \'roster\'' -l state -x -a '(__fish_complete_directories)' -d 'the server\'s directory'
complete -c p2pchat -n '__p2pchat_in \'status\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'status\'' -l json -d 'for programs: JSON, one object a line'
complete -c p2pchat -n '__p2pchat_in \'status\'' -l state -x -a '(__fish_complete_directories)' -d 'the directory of the one that is meant'
complete -c p2pchat -n '__p2pchat_in \'stop\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'stop\'' -l state -x -a '(__fish_complete_directories)' -d 'the directory of the one that is meant'
complete -c p2pchat -n '__p2pchat_in \'doctor\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'doctor\'' -l server -d 'examine the server of this machine, not the peer'
complete -c p2pchat -n '__p2pchat_in \'doctor\'' -l json -d 'for programs: JSON, one object a line'
complete -c p2pchat -n '__p2pchat_in \'doctor\'' -l state -x -a '(__fish_complete_directories)' -d 'the directory of the one that is meant'
complete -c p2pchat -n '__p2pchat_in \'attach\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'attach\'' -l plain -d 'lines only, nothing drawn: for screen readers and braille displays'
complete -c p2pchat -n '__p2pchat_in \'attach\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_in \'send\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'send\'' -l wait -x -a 'queued delivered seen' -d 'what to wait for (default: delivered)'
complete -c p2pchat -n '__p2pchat_in \'send\'' -l timeout -x -d 'exit with 3 if nothing gets on for so long (default: 60)'
complete -c p2pchat -n '__p2pchat_in \'send\'' -l trust-first -d 'take whoever has the name WHO now'
complete -c p2pchat -n '__p2pchat_in \'send\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'send\'' -a '(__p2pchat_people)'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l from -x -a '(__p2pchat_people)' -d 'only of this contact or id'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l follow -d 'wait for what comes, until Ctrl-C'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l json -d 'for programs: JSON, one object a line'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l cursor -x -d 'go on where this name stopped (with each --from)'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l count -x -d 'at most so many, then end (default: all; without --cursor: the last 10)'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l no-ack -d 'do not move the cursor; --ack does'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l ack -x -d 'print nothing: everything up to ENTRY is dealt with'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l timeout -x -d 'exit with 3 if --follow waits for so long'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l cursors -d 'show which cursors there are, and how far each is'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l drop -d 'delete the cursor, whose program is no more'
complete -c p2pchat -n '__p2pchat_in \'recv\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'contact\'' -a add -d 'keep somebody as a contact'
complete -c p2pchat -n '__p2pchat_at \'contact\'' -a list -d 'show the contacts'
complete -c p2pchat -n '__p2pchat_at \'contact\'' -a remove -d 'keep somebody no longer'
complete -c p2pchat -n '__p2pchat_in \'contact\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'contact add\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'contact add\'' -l name -x -d 'what you call them'
complete -c p2pchat -n '__p2pchat_in \'contact add\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_in \'contact list\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'contact list\'' -l json -d 'for programs: JSON, one object a line'
complete -c p2pchat -n '__p2pchat_in \'contact list\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_in \'contact remove\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'contact remove\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'contact remove\'' -a '(__p2pchat_people)'
complete -c p2pchat -n '__p2pchat_at \'identity\'' -a export -d 'write it to a file, under a passphrase'
complete -c p2pchat -n '__p2pchat_at \'identity\'' -a import -d 'take it from such a file'
complete -c p2pchat -n '__p2pchat_in \'identity\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'identity export\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'identity export\'' -l passphrase-file -r -F -d 'its first line is the passphrase'
complete -c p2pchat -n '__p2pchat_in \'identity export\'' -l passphrase-fd -x -d 'read the passphrase from this open descriptor'
complete -c p2pchat -n '__p2pchat_in \'identity export\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'identity export\'' -F
complete -c p2pchat -n '__p2pchat_in \'identity import\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'identity import\'' -l passphrase-file -r -F -d 'its first line is the passphrase'
complete -c p2pchat -n '__p2pchat_in \'identity import\'' -l passphrase-fd -x -d 'read the passphrase from this open descriptor'
complete -c p2pchat -n '__p2pchat_in \'identity import\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'identity import\'' -F
complete -c p2pchat -n '__p2pchat_in \'recover\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'recover\'' -l state -x -a '(__fish_complete_directories)' -d 'the directory of the one that is meant'
complete -c p2pchat -n '__p2pchat_in \'notify\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'notify\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'notify\'' -a 'all none desktop dnd hook quiet terminal text (__p2pchat_people)'
complete -c p2pchat -n '__p2pchat_in \'accept\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'accept\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'accept\'' -a 'ask contacts all'
complete -c p2pchat -n '__p2pchat_in \'completion\'' -l help -d 'show this help message and exit'
complete -c p2pchat -n '__p2pchat_in \'completion\'' -l state -x -a '(__fish_complete_directories)' -d 'the peer\'s directory'
complete -c p2pchat -n '__p2pchat_at \'completion\'' -a 'bash zsh fish people'
