//! Teams, and who is in them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;
use tollgate_auth::{Granted, TeamsManage, TeamsRead, UsersManage, UsersRead};
use tollgate_engine::now;
use tollgate_validation::{PageQuery, TeamChange, TeamPlace};

use super::{Ask, shown};
use crate::error::ApiError;

/// How errors call a team, and somebody in it.
const TEAM: &str = "team";
const USER: &str = "user";

pub(crate) async fn create(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("team.create");
    let granted = ask.allow(Granted::<TeamsManage>::check).await?;
    let body = ask.body(payload).await?;
    ask.make(StatusCode::CREATED, &body, move |control, input| {
        control.create_team(&granted, input, now())
    })
    .await
}

pub(crate) async fn list(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<TeamsRead>::reach).await?;
    let page = PageQuery::from_query(ask.query())?;
    let teams = ask
        .read(move |control| control.list_teams(&reach, &page))
        .await?;
    Ok(HttpResponse::Ok().json(teams))
}

pub(crate) async fn find(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<TeamsRead>::reach).await?;
    let id = ask.id("id", TEAM)?;
    let team = ask.read(move |control| control.team(&reach, id)).await?;
    Ok(shown(StatusCode::OK, &team))
}

pub(crate) async fn update(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("team.change");
    let reach = ask.allow(Granted::<TeamsManage>::reach).await?;
    let input = ask.input::<TeamChange>(payload).await?;
    let (id, expected) = (ask.id("id", TEAM)?, ask.expected()?);
    let team = ask
        .change(move |control| control.change_team(&reach, id, input, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &team))
}

pub(crate) async fn delete(ask: Ask) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("team.delete");
    let granted = ask.allow(Granted::<TeamsManage>::check).await?;
    let (id, expected) = (ask.id("id", TEAM)?, ask.expected_if_given()?);
    let team = ask
        .change(move |control| control.delete_team(&granted, id, expected, now()))
        .await?;
    Ok(shown(StatusCode::OK, &team))
}

pub(crate) async fn list_members(ask: Ask) -> Result<HttpResponse, ApiError> {
    let reach = ask.allow(Granted::<UsersRead>::reach).await?;
    let page = PageQuery::from_query(ask.query())?;
    let team = ask.id("id", TEAM)?;
    let members = ask
        .read(move |control| control.list_team_members(&reach, team, &page))
        .await?;
    Ok(HttpResponse::Ok().json(members))
}

pub(crate) async fn set_member(ask: Ask, payload: Payload) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("team.member.set");
    let reach = ask.allow(Granted::<UsersManage>::reach).await?;
    let input = ask.input::<TeamPlace>(payload).await?;
    let place = (ask.id("id", TEAM)?, ask.id("user_id", USER)?);
    let member = ask
        .change(move |control| control.set_team_member(&reach, place, &input, now()))
        .await?;
    Ok(shown(StatusCode::OK, &member))
}

pub(crate) async fn remove_member(ask: Ask) -> Result<HttpResponse, ApiError> {
    let ask = ask.to("team.member.remove");
    let reach = ask.allow(Granted::<UsersManage>::reach).await?;
    let (team, user) = (ask.id("id", TEAM)?, ask.id("user_id", USER)?);
    ask.change(move |control| control.remove_team_member(&reach, team, user, now()))
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
