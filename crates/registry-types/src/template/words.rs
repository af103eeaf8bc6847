//! The closed word lists of templates. Each is the union over Paperclip's releases (2026.916.1 included), so that a
//! template written for any of them is accepted.

use crate::text_enum;

text_enum! {
    pub enum AgentRole {
        Ceo = "ceo",
        Cto = "cto",
        Cmo = "cmo",
        Cfo = "cfo",
        Engineer = "engineer",
        Designer = "designer",
        Pm = "pm",
        Qa = "qa",
        Devops = "devops",
        Researcher = "researcher",
        Security = "security",
        General = "general",
    }
}

text_enum! {
    pub enum GoalLevel { Company = "company", Team = "team", Agent = "agent", Task = "task" }
}

text_enum! {
    pub enum IssueStatus {
        Backlog = "backlog",
        Todo = "todo",
        InProgress = "in_progress",
        InReview = "in_review",
        Blocked = "blocked",
        Done = "done",
        Cancelled = "cancelled",
    }
}

text_enum! {
    pub enum IssuePriority { Critical = "critical", High = "high", Medium = "medium", Low = "low" }
}
