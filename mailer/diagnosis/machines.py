"""What is said of networks, name servers, disks and queues: nobody's fault, and rarely for long."""

from __future__ import annotations

from mailer.diagnosis.verdict import Category

_C = Category

BLOCKS: tuple[tuple[Category, str], ...] = (
    (
        _C.TECHNICAL,
        """
        could not deliver for the last
        no such file
        pipe to |
        host name lookup failure
        connection refused
        connection reset
        connection lost
        connection dropped
        connection closed
        connection failed
        connection to … failed
        timed out
        timeout
        time out
        time-out
        no route to host
        network error
        host is down
        host down
        unreachable
        could not connect
        couldn't connect
        couldn't establish
        unable to connect
        cannot connect
        failed to connect
        can't connect
        not responding
        no response
        did not respond
        not reachable
        lost connection
        name server
        dns lookup
        dns error
        dns server
        temporary failure
        temporary error
        temporary lookup
        temporary system problem
        temporarily
        try later
        come back later
        try again
        service unavailable
        service not available
        service currently unavailable
        system not accepting
        not accepting network messages
        insufficient system storage
        insufficient system resources
        insufficient resources
        no space left on device
        out of memory
        resources … unavailable
        low on … resources
        system error
        internal error
        internal server error
        local error
        error in processing
        processing error
        database
        i/o error
        input/output error
        configuration error
        configuration problem
        misconfigur
        loop
        too many hops
        hop count
        received headers
        message expired
        retry time not reached
        queue too long
        queued too long
        not delivered within
        delivery time
        delayed
        undeliverable within
        could not be delivered for
        maximum delivery attempts
        maximum-time-expired
        gave up
        command … not recognized
        unrecognized command
        syntax error
        bad syntax
        protocol error
        not implemented
        bad sequence
        can't create
        cannot create
        can't open
        unable to open
        ldap
        mail system problem
        delivery agent
        command died
        command output
        exit status
        mailer error
        cannot update mailbox
        cannot append message
        mail transport unavailable
        超时
        系统繁忙
        服务器繁忙
        稍后再试
        タイムアウト
        queue unavailable
        sequence error
        sequence of commands
        please say
        parse error
        dns query failed
        journaling
        file write error
        interrupted system call
        try another server
        try reconnecting
        connection expired
        lookup failure
        no healthy
        failed to be replicated
        wrong … region
        operation timed
        unable to process
        could not be processed
        unexpected error
        unexpected failure
        server error
        internal failure
        maintenance
        overload
        server busy
        is busy
        too busy
        system busy
        error in command
        at this time
        license expired
        transaction failed
        unable to resolve route
        could not find a gateway
        delivery attempts will continue
        failed to deliver to domain
        giving up on
        failing for a long time
        has not been collected
        after multiple retries
        procmail
        x-unix;
        mailer died
        couldn't create
        unable to create
        mail system full
        """,
    ),
)
